/** Filters of subscriptions, compiled: what looks at a record of a batch and says whether it is wanted. Pure, one thread. */
import type { BatchReader } from '../protocol/batch/batch-reader.ts';
import { isSame, PropertyValues } from './property-values.ts';
import { compileSql, FAILED, TRUE } from './sql-compiler.ts';
import { parseSql } from './sql-parser.ts';
import { checkSense } from './sql-sense.ts';

/** Looks at records in place; holds nothing of them. */
export interface RecordMatcher {
  /** Is the reader's current record wanted? */
  matches(record: BatchReader): boolean;
  /** Records that it could not be evaluated on, since it was compiled: they do not match. */
  readonly failures: number;
}

/** Tags compared by a hash would let others through; these are compared whole. */
export class TagMatcher implements RecordMatcher {
  readonly failures = 0;
  private readonly tags: readonly Uint8Array[];

  constructor(tags: readonly string[]) {
    const encoder = new TextEncoder();
    this.tags = tags.map((tag) => encoder.encode(tag));
  }

  matches(record: BatchReader): boolean {
    const start = record.tagStart;
    const end = start + record.tagBytes;
    const bytes = record.source;
    for (const tag of this.tags) if (isSame(bytes, start, end, tag)) return true;
    return false;
  }
}

export class SqlMatcher implements RecordMatcher {
  failures = 0;
  private readonly values = new PropertyValues();
  private readonly condition: () => number;

  /**
   * @param isStrict - refuse also what can never match, or match otherwise than it reads; RocketMQ takes such
   * @throws INVALID_ARGUMENT that points at what is wrong
   */
  constructor(sql: string, isStrict: boolean) {
    const tree = parseSql(sql);
    if (isStrict) checkSense(sql, tree);
    this.condition = compileSql(tree, this.values);
  }

  matches(record: BatchReader): boolean {
    this.values.load(record);
    const truth = this.condition();
    if (truth === FAILED) this.failures += 1;
    return truth === TRUE;
  }
}
