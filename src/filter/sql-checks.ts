/** What an SQL filter may compare with what: refused when it is parsed, as RocketMQ does. Pure. */
import { compareDoubles } from './java-values.ts';
import { sqlError } from './sql-error.ts';
import { isCondition, isLiteral, isNumber, type SqlNode } from './sql-tree.ts';

/** A condition, or a property standing for one. @throws INVALID_ARGUMENT */
export function mustBeBoolean(sql: string, node: SqlNode): SqlNode {
  if (isCondition(node) || node.kind === 'property') return node;
  throw sqlError(sql, node.at, 'a condition is needed here, and this is a value');
}

/** Something with an order. @throws INVALID_ARGUMENT */
export function mustBeOrderable(sql: string, node: SqlNode): void {
  if (node.kind === 'text') {
    throw sqlError(
      sql,
      node.at,
      'texts have no order: < <= > >= and BETWEEN compare numbers',
      'Compare texts with = <> IN CONTAINS STARTSWITH ENDSWITH. Numbers have no quotes.',
    );
  }
  if (isCondition(node))
    throw sqlError(sql, node.at, 'a condition has no order: < <= > >= compare numbers');
}

/** @throws INVALID_ARGUMENT for comparisons that cannot be meant */
export function mustBeEquatable(sql: string, left: SqlNode, right: SqlNode): void {
  for (const node of [left, right]) {
    if (node.kind === 'constant' && node.value === null)
      throw sqlError(sql, node.at, 'nothing is equal to NULL', 'Write IS NULL or IS NOT NULL.');
  }
  if (left.kind === 'constant' && isLiteral(right) && right.kind !== 'constant')
    throw sqlError(sql, right.at, 'TRUE and FALSE are compared with texts or numbers');
}

/** The bounds of BETWEEN, where both are literals. @throws INVALID_ARGUMENT when the second is below the first */
export function mustNotFall(sql: string, low: SqlNode, high: SqlNode): void {
  if (!isLiteral(low) || !isLiteral(high) || !isNumber(low) || !isNumber(high)) return;
  if (compareDoubles(Number(low.value), Number(high.value)) > 0)
    throw sqlError(
      sql,
      low.at,
      'the first bound of BETWEEN is above the second: nothing is between',
    );
}
