/**
 * What RocketMQ takes in an SQL filter although it cannot be meant: parts that never match, in silence. Refused where filters
 * are written for SluiceMQ; filters of RocketMQ's clients are taken as they are. Pure.
 */
import { sqlError } from './sql-error.ts';
import { isCondition, type SqlNode } from './sql-tree.ts';

/** @throws INVALID_ARGUMENT that points at the first part without sense */
export function checkSense(sql: string, node: SqlNode): void {
  if (node.kind === 'property') {
    throw sqlError(
      sql,
      node.at,
      `the property ${node.name} alone is no condition: properties are texts, and no text is TRUE`,
      `Write ${node.name} = TRUE, or ${node.name} IS NOT NULL.`,
    );
  }
  if (node.kind === 'and' || node.kind === 'or') {
    for (const part of node.parts) checkSense(sql, part);
  } else if (node.kind === 'not') {
    checkSense(sql, node.of);
  } else if (node.kind === 'compare') {
    if (isCondition(node.left) && node.right.kind === 'text') {
      throw sqlError(
        sql,
        node.at,
        'a condition is compared with a text, which never matches',
        "NOT belongs to what follows directly: write NOT (region = 'eu').",
      );
    }
    checkInside(sql, node.left);
    checkInside(sql, node.right);
  } else if (node.kind === 'is-null' || node.kind === 'search') {
    checkInside(sql, node.of);
  }
}

function checkInside(sql: string, node: SqlNode): void {
  if (isCondition(node)) checkSense(sql, node);
}
