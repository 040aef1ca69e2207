/** A set of whole numbers from 0 on, a bit each, in pages that come into being when they are touched. */

const PAGE_WORDS = 2048;
const PAGE_BITS: number = PAGE_WORDS * 32;
/** Every message of a run has its bit: so many are two hours at the limit of the machine, and a gigabyte. */
const PAGES_MAX = 131_072;

export class PagedBitmap {
  /** Structured clones of a bitmap are made of these. */
  readonly pages: (Uint32Array | undefined)[];
  /** Numbers in the set. */
  count = 0;

  constructor(pages: (Uint32Array | undefined)[] = []) {
    this.pages = pages;
    for (const page of pages) if (page !== undefined) this.count += bitsOf(page);
  }

  /** @returns false when it was in the set already */
  add(value: number): boolean {
    const page = this.pageOf(Math.floor(value / PAGE_BITS));
    const bit = value % PAGE_BITS;
    const word = page[bit >>> 5] as number;
    const mask = 1 << (bit & 31);
    if ((word & mask) !== 0) return false;
    page[bit >>> 5] = word | mask;
    this.count += 1;
    return true;
  }

  addRange(start: number, count: number): void {
    for (let value = start; value < start + count; value += 1) this.add(value);
  }

  has(value: number): boolean {
    const page = this.pages[Math.floor(value / PAGE_BITS)];
    if (page === undefined) return false;
    const bit = value % PAGE_BITS;
    return ((page[bit >>> 5] as number) & (1 << (bit & 31))) !== 0;
  }

  /** How many of these are not in `other`. */
  countMissingIn(other: PagedBitmap): number {
    let missing = 0;
    for (const [index, page] of this.pages.entries()) {
      if (page === undefined) continue;
      const others = other.pages[index];
      if (others === undefined) missing += bitsOf(page);
      else missing += bitsWithout(page, others);
    }
    return missing;
  }

  /** Those that are not in `other`, in order. */
  *missingIn(other: PagedBitmap): Generator<number> {
    for (const [index, page] of this.pages.entries()) {
      if (page === undefined) continue;
      const others = other.pages[index];
      if (others !== undefined && bitsWithout(page, others) === 0) continue;
      for (let value = index * PAGE_BITS; value < (index + 1) * PAGE_BITS; value += 1)
        if (this.has(value) && !other.has(value)) yield value;
    }
  }

  private pageOf(index: number): Uint32Array {
    const page = this.pages[index];
    if (page !== undefined) return page;
    if (!(index >= 0 && index < PAGES_MAX)) throw new RangeError(`no page ${index} of a bitmap`);
    // Without holes, so that the array stays a list.
    while (this.pages.length < index) this.pages.push(undefined);
    const fresh = new Uint32Array(PAGE_WORDS);
    this.pages[index] = fresh;
    return fresh;
  }
}

function bitsOf(page: Uint32Array): number {
  let bits = 0;
  for (const word of page) bits += popCount(word);
  return bits;
}

function bitsWithout(page: Uint32Array, others: Uint32Array): number {
  let bits = 0;
  for (let index = 0; index < PAGE_WORDS; index += 1)
    bits += popCount((page[index] as number) & ~(others[index] as number));
  return bits;
}

/** @source Hacker's Delight, Henry S. Warren, figure 5-2 */
function popCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x5555_5555);
  bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
  bits = (bits + (bits >>> 4)) & 0x0f0f_0f0f;
  return Math.imul(bits, 0x0101_0101) >>> 24;
}
