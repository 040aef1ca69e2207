/**
 * An SQL filter as closures over the properties of a record. Three-valued: FALSE wins over unknown in AND, TRUE in OR. Both
 * look from left to right and stop when they know, and what cannot be evaluated (a property that should be a number and is
 * none) ends the whole filter without a match: as in RocketMQ. No code is made from text. Pure.
 *
 * @source RocketMQ LogicExpression, ComparisonExpression, UnaryExpression
 */
import { unreachable } from '../base/assert.ts';
import { parseBoolean, parseDouble, UNREADABLE } from './java-values.ts';
import type { PropertyValues } from './property-values.ts';
import {
  type CompareOperator,
  type ConditionNode,
  isCondition,
  isNumber,
  type SqlNode,
} from './sql-tree.ts';
import { compareNumbers, type NumberValue, readAs } from './sql-values.ts';

/** The value of a condition. */
export type Truth = 0 | 1 | 2 | 3;
export const FALSE = 0;
export const TRUE = 1;
/** NULL: a property that the message does not have was asked. */
export const UNKNOWN = 2;
/** It cannot be evaluated. */
export const FAILED = 3;

export type Condition = () => Truth;

/** What stands on one side of a comparison, read for one record. */
type Value = string | boolean | NumberValue | null | typeof UNREADABLE;
type Reader = () => Value;

const encoder = new TextEncoder();

/** @returns the condition, evaluated on the record that `values` was last loaded with */
export function compileSql(root: SqlNode, values: PropertyValues): Condition {
  return new SqlCompiler(values).condition(root);
}

class SqlCompiler {
  private readonly values: PropertyValues;

  constructor(values: PropertyValues) {
    this.values = values;
  }

  condition(node: SqlNode): Condition {
    if (isCondition(node)) return this.conditionOf(node);
    // A property standing for a condition: it is a text, and no text is TRUE.
    const reader = this.reader(node);
    return () => (reader() === null ? UNKNOWN : FALSE);
  }

  private conditionOf(node: ConditionNode): Condition {
    switch (node.kind) {
      case 'constant': {
        const value = node.value === null ? UNKNOWN : truthOf(node.value);
        return () => value;
      }
      case 'not':
        return negation(this.condition(node.of));
      case 'and':
        return chain(this.conditions(node.parts), FALSE);
      case 'or':
        return chain(this.conditions(node.parts), TRUE);
      case 'is-null':
        return this.isNull(node.of, node.isNot);
      case 'compare':
        return this.comparison(node.operator, node.left, node.right);
      case 'in':
        return this.among(node);
      case 'search':
        return this.search(node);
      default:
        return unreachable(node);
    }
  }

  private conditions(parts: readonly SqlNode[]): readonly Condition[] {
    return parts.map((part) => this.condition(part));
  }

  private isNull(of: SqlNode, isNot: boolean): Condition {
    if (of.kind === 'property') {
      const { values } = this;
      const slot = values.slotOf(of.name);
      return () => truthOf(values.has(slot) === isNot);
    }
    const reader = this.reader(of);
    return () => {
      const value = reader();
      return value === UNREADABLE ? FAILED : truthOf((value === null) !== isNot);
    };
  }

  private comparison(operator: CompareOperator, left: SqlNode, right: SqlNode): Condition {
    if (operator === '=' || operator === '<>') {
      const equal = this.equality(left, right);
      return operator === '=' ? equal : negation(equal);
    }
    const answers = answerOf(operator);
    if (left.kind === 'property' && isNumber(right)) return this.ordered(left.name, right, answers);
    const [readLeft, readRight] = [this.reader(left), this.reader(right)];
    return () => {
      const a = readLeft();
      if (a === UNREADABLE) return FAILED;
      if (a === null) return UNKNOWN;
      const b = readRight();
      if (b === UNREADABLE) return FAILED;
      if (b === null) return UNKNOWN;
      const order = orderOf(a, b);
      return order === UNREADABLE ? FAILED : truthOf(answers(order));
    };
  }

  /** A property against a number: what filters are mostly made of. */
  private ordered(
    name: string,
    number: NumberValue,
    answers: (order: number) => boolean,
  ): Condition {
    const { values } = this;
    const slot = values.slotOf(name);
    return () => {
      if (!values.has(slot)) return UNKNOWN;
      const value = readAs(number, values.text(slot));
      return value === UNREADABLE ? FAILED : truthOf(answers(compareNumbers(value, number)));
    };
  }

  private equality(left: SqlNode, right: SqlNode): Condition {
    if (left.kind === 'property' && right.kind === 'text') {
      const { values } = this;
      const slot = values.slotOf(left.name);
      const expected = encoder.encode(right.text);
      return () => (values.has(slot) ? truthOf(values.equals(slot, expected)) : UNKNOWN);
    }
    const [readLeft, readRight] = [this.reader(left), this.reader(right)];
    return () => {
      const a = readLeft();
      if (a === UNREADABLE) return FAILED;
      const b = readRight();
      if (b === UNREADABLE) return FAILED;
      if (a === null) return b === null ? TRUE : UNKNOWN;
      return b === null ? FALSE : equalityOf(a, b);
    };
  }

  private among(node: ConditionNode & { readonly kind: 'in' }): Condition {
    const { values } = this;
    const slot = values.slotOf(node.property.name);
    const texts = new Set(node.texts);
    const { isNot } = node;
    return () => {
      if (!values.has(slot)) return UNKNOWN;
      return truthOf(texts.has(values.text(slot)) !== isNot);
    };
  }

  private search(node: ConditionNode & { readonly kind: 'search' }): Condition {
    const { how, text, isNot } = node;
    // Whatever is no text matches neither form, and neither does anything when nothing is searched for.
    if (text === '') return () => FALSE;
    const reader = this.reader(node.of);
    return () => {
      const value = reader();
      if (value === UNREADABLE) return FAILED;
      if (typeof value !== 'string') return FALSE;
      const found =
        how === 'CONTAINS'
          ? value.includes(text)
          : how === 'STARTSWITH'
            ? value.startsWith(text)
            : value.endsWith(text);
      return truthOf(found !== isNot);
    };
  }

  private reader(node: SqlNode): Reader {
    if (isCondition(node)) {
      const condition = this.conditionOf(node);
      return () => truthValue(condition());
    }
    if (isNumber(node)) return () => node;
    switch (node.kind) {
      case 'property': {
        const { values } = this;
        const slot = values.slotOf(node.name);
        return () => (values.has(slot) ? values.text(slot) : null);
      }
      case 'text': {
        const { text } = node;
        return () => text;
      }
      case 'nothing':
        return () => null;
      default:
        return unreachable(node);
    }
  }
}

function truthOf(value: boolean): Truth {
  return value ? TRUE : FALSE;
}

function truthValue(truth: Truth): Value {
  if (truth === FAILED) return UNREADABLE;
  return truth === UNKNOWN ? null : truth === TRUE;
}

function negation(of: Condition): Condition {
  return () => {
    const truth = of();
    if (truth === TRUE) return FALSE;
    return truth === FALSE ? TRUE : truth;
  };
}

/** AND stops at the first FALSE, OR at the first TRUE, and both at what fails. */
function chain(parts: readonly Condition[], decisive: Truth): Condition {
  const otherwise: Truth = decisive === TRUE ? FALSE : TRUE;
  return () => {
    let result: Truth = otherwise;
    for (const part of parts) {
      const truth = part();
      if (truth === decisive || truth === FAILED) return truth;
      if (truth === UNKNOWN) result = UNKNOWN;
    }
    return result;
  };
}

function answerOf(operator: '<' | '<=' | '>' | '>='): (order: number) => boolean {
  switch (operator) {
    case '<':
      return (order) => order < 0;
    case '<=':
      return (order) => order <= 0;
    case '>':
      return (order) => order > 0;
    case '>=':
      return (order) => order >= 0;
    default:
      return unreachable(operator);
  }
}

type Present = string | boolean | NumberValue;

/** Two texts are ordered as doubles; the text beside a number is read as that. */
function orderOf(a: Present, b: Present): number | typeof UNREADABLE {
  if (typeof a === 'boolean' || typeof b === 'boolean') return -1;
  const left = typeof a === 'string' ? readBeside(a, b) : a;
  const right = typeof b === 'string' ? readBeside(b, a) : b;
  if (left === UNREADABLE || right === UNREADABLE) return UNREADABLE;
  return compareNumbers(left, right);
}

function readBeside(text: string, other: string | NumberValue): NumberValue | typeof UNREADABLE {
  if (typeof other !== 'string') return readAs(other, text);
  const value = parseDouble(text);
  return value === UNREADABLE ? value : { kind: 'double', value };
}

function equalityOf(a: Present, b: Present): Truth {
  if (typeof a === 'boolean') {
    if (typeof b === 'string') return FAILED;
    return truthOf(a === b);
  }
  if (typeof b === 'boolean') return truthOf(typeof a === 'string' && parseBoolean(a) === b);
  if (typeof a === 'string' && typeof b === 'string') return truthOf(a === b);
  const order = orderOf(a, b);
  return order === UNREADABLE ? FAILED : truthOf(order === 0);
}
