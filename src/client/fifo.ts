/** A first-in-first-out queue whose ends both cost constant time, however long it grows. Browser-safe. */

/** Taken entries at the front that make a compaction worth while. */
const COMPACT_COUNT_MIN = 64;

export class Fifo<Item> {
  private items: (Item | undefined)[] = [];
  private head = 0;

  get length(): number {
    return this.items.length - this.head;
  }

  push(item: Item): void {
    this.items.push(item);
  }

  peek(): Item | undefined {
    return this.items[this.head];
  }

  shift(): Item | undefined {
    if (this.length === 0) return undefined;
    const item = this.items[this.head];
    this.items[this.head] = undefined;
    this.head += 1;
    if (this.head >= COMPACT_COUNT_MIN && this.head * 2 >= this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }

  /** Takes everything out. */
  clear(): Item[] {
    const rest = this.items.slice(this.head) as Item[];
    this.items = [];
    this.head = 0;
    return rest;
  }

  *[Symbol.iterator](): IterableIterator<Item> {
    for (let index = this.head; index < this.items.length; index += 1)
      yield this.items[index] as Item;
  }
}
