/**
 * Which rows of the table of deferred batches have a key: rows of one topic and hash of a key are linked with each other. Cancelling
 * by key must not look at a million rows. Numbers only; shard thread and recovery.
 */
const NO_ROW = -1;

export class DeferredKeys {
  /** First row of each bucket; as many buckets as rows, a power of two. */
  private heads: Int32Array;
  private next: Int32Array;
  private before: Int32Array;

  /** @param capacity - rows, a power of two */
  constructor(capacity: number) {
    this.heads = new Int32Array(capacity).fill(NO_ROW);
    this.next = new Int32Array(capacity);
    this.before = new Int32Array(capacity);
  }

  link(row: number, topicId: number, keyHash: number): void {
    const bucket = this.bucketOf(topicId, keyHash);
    const first = this.heads[bucket] as number;
    this.heads[bucket] = row;
    this.next[row] = first;
    this.before[row] = NO_ROW;
    if (first !== NO_ROW) this.before[first] = row;
  }

  unlink(row: number, topicId: number, keyHash: number): void {
    const next = this.next[row] as number;
    const before = this.before[row] as number;
    if (next !== NO_ROW) this.before[next] = before;
    if (before !== NO_ROW) this.next[before] = next;
    else this.heads[this.bucketOf(topicId, keyHash)] = next;
  }

  /** Rows that may have this key: others of their bucket are among them. */
  *rows(topicId: number, keyHash: number): Generator<number> {
    for (
      let row = this.heads[this.bucketOf(topicId, keyHash)] as number;
      row !== NO_ROW;
      row = this.next[row] as number
    )
      yield row;
  }

  private bucketOf(topicId: number, keyHash: number): number {
    let hash = Math.imul(keyHash ^ Math.imul(topicId, 0x9e37_79b1), 0x85eb_ca6b);
    hash ^= hash >>> 15;
    return hash & (this.heads.length - 1);
  }
}
