/** An SQL filter as a tree: what the parser makes, and the compiler and the check of sense walk. Types only. */

export type Place = { readonly at: number };
export type CompareOperator = '=' | '<>' | '<' | '<=' | '>' | '>=';
export type SearchKind = 'CONTAINS' | 'STARTSWITH' | 'ENDSWITH';

/** A property of the message: a text, or nothing when the message does not have it. */
export type PropertyNode = Place & { readonly kind: 'property'; readonly name: string };
export type TextNode = Place & { readonly kind: 'text'; readonly text: string };
/**
 * A number in one of Java's three widths: properties compared with it are read as that. `isSigned`: it is the result of a
 * minus, which RocketMQ does not count among the literals where it checks them.
 */
export type NumberNode = Place & { readonly isSigned: boolean } & (
    | { readonly kind: 'int' | 'double'; readonly value: number }
    | { readonly kind: 'long'; readonly value: bigint }
  );
/** What has a minus and is no number: nothing, always. */
export type NothingNode = Place & { readonly kind: 'nothing' };
/** TRUE, FALSE and, as null, NULL. */
export type ConstantNode = Place & { readonly kind: 'constant'; readonly value: boolean | null };

export type ConditionNode =
  | ConstantNode
  | (Place & { readonly kind: 'not'; readonly of: SqlNode })
  | (Place & { readonly kind: 'and' | 'or'; readonly parts: readonly SqlNode[] })
  | (Place & {
      readonly kind: 'compare';
      readonly operator: CompareOperator;
      readonly left: SqlNode;
      readonly right: SqlNode;
    })
  | (Place & { readonly kind: 'is-null'; readonly of: SqlNode; readonly isNot: boolean })
  | (Place & {
      readonly kind: 'in';
      readonly property: PropertyNode;
      readonly texts: readonly string[];
      readonly isNot: boolean;
    })
  | (Place & {
      readonly kind: 'search';
      readonly how: SearchKind;
      readonly of: SqlNode;
      readonly text: string;
      readonly isNot: boolean;
    });

/** A value: what a comparison has on its sides. */
export type ValueNode = PropertyNode | TextNode | NumberNode | NothingNode;
export type SqlNode = ValueNode | ConditionNode;

const CONDITIONS: ReadonlySet<SqlNode['kind']> = new Set([
  ...(['constant', 'not', 'and', 'or', 'compare', 'is-null', 'in', 'search'] as const),
]);

/** Is its value TRUE, FALSE or unknown? */
export function isCondition(node: SqlNode): node is ConditionNode {
  return CONDITIONS.has(node.kind);
}

export function isNumber(node: SqlNode): node is NumberNode {
  return node.kind === 'int' || node.kind === 'long' || node.kind === 'double';
}

/** Does it stand in the expression as it is? */
export function isLiteral(node: SqlNode): node is TextNode | NumberNode | ConstantNode {
  return node.kind === 'text' || node.kind === 'constant' || (isNumber(node) && !node.isSigned);
}
