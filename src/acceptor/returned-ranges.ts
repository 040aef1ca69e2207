/**
 * What one subscription has given back to shards and not seen again. A shard that is told of a return may have sent later
 * messages of the queue already; they must not overtake what was returned. Each return has a number, and each delivery says
 * which return of its queue the shard had been told of: what it sent with that knowledge is in the order it wants.
 */

type Returned = { readonly number: number; start: number; readonly end: number };

export class ReturnedRanges {
  private readonly queues = new Map<number, Returned[]>();
  private lastNumber = 0;

  /** The messages from `start` (inclusive) to `end` (exclusive) go back. @returns number of this return */
  add(queueId: number, start: number, end: number): number {
    this.seen(queueId, start, end);
    this.lastNumber += 1;
    const returned = this.queues.get(queueId) ?? [];
    returned.push({ number: this.lastNumber, start, end });
    this.queues.set(queueId, returned);
    return this.lastNumber;
  }

  /**
   * Must messages from `start` on go back too, because earlier ones did and are still to come?
   *
   * @param known - number of the last return that the shard had been told of when it sent them
   */
  mustFollow(queueId: number, start: number, known: number): boolean {
    const returned = this.queues.get(queueId);
    if (returned === undefined) return false;
    // Those that the shard knew of and passed over are gone, or come later for a reason of its own.
    const left = returned.filter((range) => range.start >= start || range.number > known);
    this.keep(queueId, left);
    return left.some((range) => range.start < start);
  }

  /** These messages went out. */
  seen(queueId: number, start: number, end: number): void {
    const returned = this.queues.get(queueId);
    if (returned === undefined) return;
    for (const range of returned)
      if (range.start >= start && range.start < end) range.start = Math.min(end, range.end);
    this.keep(
      queueId,
      returned.filter((range) => range.start < range.end),
    );
  }

  private keep(queueId: number, returned: Returned[]): void {
    if (returned.length === 0) this.queues.delete(queueId);
    else this.queues.set(queueId, returned);
  }
}
