/** Numbers of SQL filters, in the width that Java gives them. Pure. @source RocketMQ ConstantExpression, UnaryExpression */
import { parseInt32, parseInt64, UNREADABLE } from './java-values.ts';
import { sqlError } from './sql-error.ts';
import type { NothingNode, NumberNode, SqlNode } from './sql-tree.ts';

/** @throws INVALID_ARGUMENT beyond 64 bits */
export function integerNode(sql: string, digits: string, at: number): NumberNode {
  const int = parseInt32(digits);
  if (int !== UNREADABLE) return { kind: 'int', value: int, isSigned: false, at };
  const long = parseInt64(digits);
  if (long !== UNREADABLE) return { kind: 'long', value: long, isSigned: false, at };
  throw sqlError(
    sql,
    at,
    'an integer is at most 9223372036854775807',
    'Write it with a decimal point to compare as floating point.',
  );
}

/** @throws INVALID_ARGUMENT for what a double cannot hold */
export function doubleNode(sql: string, digits: string, at: number): NumberNode {
  const value = Number(digits);
  const isLost = value === 0 && /^[^eE]*[1-9]/.test(digits);
  if (Number.isFinite(value) && !isLost) return { kind: 'double', value, isSigned: false, at };
  throw sqlError(sql, at, `the number is too ${isLost ? 'small' : 'large'} for a double`);
}

/** A minus: of what is no number it makes nothing. */
export function negated(node: SqlNode, at: number): NumberNode | NothingNode {
  // The negative of an int is an int: no literal is as small as the one whose negative is none.
  if (node.kind === 'int') return { kind: 'int', value: 0 - node.value, isSigned: true, at };
  if (node.kind === 'double') return { kind: 'double', value: -node.value, isSigned: true, at };
  if (node.kind === 'long') return { kind: 'long', value: -node.value, isSigned: true, at };
  return { kind: 'nothing', at };
}
