/**
 * The page table at the end of an index file: a checksum for each page of entries and of keys, so that who needs a few of them
 * reads and checks these and not the file. Pages are counted over all queues: the first of a queue may begin with another's.
 *
 *   0 u32 crc of what follows   4 u32 0
 *   8 key pages, of 512 keys, 8 bytes each: u32 crc of the page, u32 hash of its first key
 *     entry pages, of 512 entries, 16 bytes each: u32 crc of the page, u32 0, f64 base offset of its first entry
 */
import { crc32 } from '../base/crc32-native.ts';
import { ENTRY_NUMBERS } from './entry-table.ts';

export const ENTRY_BYTES: number = ENTRY_NUMBERS * 8;
export const KEY_BYTES = 16;
/** Keys of one page: 8 KiB. */
const KEYS_PER_PAGE = 512;
/** Entries of one page: 28 KiB. */
const ENTRIES_PER_PAGE = 512;
const HEAD_BYTES = 8;
const KEY_PAGE_BYTES = 8;
const ENTRY_PAGE_BYTES = 16;

/** What an index file holds, and which of it has pages: files of earlier versions have none of entries, or none at all. */
export type IndexShape = {
  /** Byte offset of the entries; keys follow them, and the page table those. */
  readonly entriesAt: number;
  readonly entryCount: number;
  readonly keyCount: number;
  readonly hasKeyPages: boolean;
  readonly hasEntryPages: boolean;
};

/** Numbers of entries, or of keys: from `first` to `end`, the latter exclusive. */
type Run = { readonly first: number; readonly end: number };

export function keyPagesOf(keyCount: number): number {
  return Math.ceil(keyCount / KEYS_PER_PAGE);
}

function pagesOf(shape: IndexShape): { keys: number; entries: number } {
  return {
    keys: shape.hasKeyPages ? keyPagesOf(shape.keyCount) : 0,
    entries: shape.hasEntryPages ? Math.ceil(shape.entryCount / ENTRIES_PER_PAGE) : 0,
  };
}

/** 0: the file has no page table. */
export function pageTableBytes(shape: IndexShape): number {
  const { keys, entries } = pagesOf(shape);
  if (keys + entries === 0) return 0;
  return HEAD_BYTES + keys * KEY_PAGE_BYTES + entries * ENTRY_PAGE_BYTES;
}

/** Writes the page table of an index whose entries and keys are written, behind them. */
export function writePageTable(bytes: Uint8Array, view: DataView, shape: IndexShape): void {
  const { entriesAt, entryCount, keyCount } = shape;
  const keysAt = entriesAt + entryCount * ENTRY_BYTES;
  const tableAt = keysAt + keyCount * KEY_BYTES;
  const pages = pagesOf(shape);
  for (let page = 0; page < pages.keys; page += 1) {
    const start = keysAt + page * KEYS_PER_PAGE * KEY_BYTES;
    const at = tableAt + HEAD_BYTES + page * KEY_PAGE_BYTES;
    const end = Math.min(start + KEYS_PER_PAGE * KEY_BYTES, tableAt);
    view.setUint32(at, crc32(bytes, start, end), true);
    view.setUint32(at + 4, view.getUint32(start, true), true);
  }
  const entryPagesAt = tableAt + HEAD_BYTES + pages.keys * KEY_PAGE_BYTES;
  for (let page = 0; page < pages.entries; page += 1) {
    const start = entriesAt + page * ENTRIES_PER_PAGE * ENTRY_BYTES;
    const at = entryPagesAt + page * ENTRY_PAGE_BYTES;
    const end = Math.min(start + ENTRIES_PER_PAGE * ENTRY_BYTES, keysAt);
    view.setUint32(at, crc32(bytes, start, end), true);
    view.setFloat64(at + 8, view.getFloat64(start, true), true);
  }
  if (bytes.length > tableAt)
    view.setUint32(tableAt, crc32(bytes, tableAt + 4, bytes.length), true);
}

export class PageTable {
  private readonly view: DataView;
  private readonly shape: IndexShape;
  private readonly pages: { readonly keys: number; readonly entries: number };

  private constructor(view: DataView, shape: IndexShape) {
    this.view = view;
    this.shape = shape;
    this.pages = pagesOf(shape);
  }

  /** @returns undefined when it is damaged */
  static of(bytes: Uint8Array, shape: IndexShape): PageTable | undefined {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length === 0) return new PageTable(view, shape);
    const isWhole = view.getUint32(0, true) === crc32(bytes, 4, bytes.length);
    return isWhole ? new PageTable(view, shape) : undefined;
  }

  /** The keys that may have this hash: whole pages. */
  keysAround(hash: number): Run {
    let low = 0;
    let high = this.pages.keys;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.firstHash(middle) < hash) low = middle + 1;
      else high = middle;
    }
    // The page before the first that begins with it, or above, may end with it.
    const first = Math.max(0, low - 1) * KEYS_PER_PAGE;
    let end = low;
    while (end < this.pages.keys && this.firstHash(end) === hash) end += 1;
    return { first, end: Math.max(first, Math.min(end * KEYS_PER_PAGE, this.shape.keyCount)) };
  }

  /** Are these keys, from number `first` on, those that were written? Whole pages. */
  areKeysWhole(keys: Uint8Array, first: number): boolean {
    const pageAt = (page: number): number => HEAD_BYTES + page * KEY_PAGE_BYTES;
    return this.areWhole(keys, first / KEYS_PER_PAGE, KEYS_PER_PAGE * KEY_BYTES, pageAt);
  }

  /**
   * Of a queue's entries, those among which are the one that holds `offset`, or follows it, and `max - 1` behind it.
   *
   * @param part - the queue's entries, at least one
   */
  entriesAround(part: Run, offset: number, max: number): Run {
    let low = Math.floor(part.first / ENTRIES_PER_PAGE);
    let high = Math.floor((part.end - 1) / ENTRIES_PER_PAGE);
    while (low < high) {
      // Never the first of them, which may begin with the entries of another queue.
      const middle = (low + high + 1) >>> 1;
      if (this.firstOffset(middle) <= offset) low = middle;
      else high = middle - 1;
    }
    const first = Math.max(part.first, low * ENTRIES_PER_PAGE);
    return { first, end: Math.min(part.end, first + ENTRIES_PER_PAGE + max) };
  }

  /** The pages that hold these entries. */
  entryPages(first: number, end: number): Run {
    const last = Math.ceil(end / ENTRIES_PER_PAGE) * ENTRIES_PER_PAGE;
    return {
      first: first - (first % ENTRIES_PER_PAGE),
      end: Math.min(last, this.shape.entryCount),
    };
  }

  /** Are these entries, from number `first` on, those that were written? Whole pages. */
  areEntriesWhole(entries: Uint8Array, first: number): boolean {
    const pageAt = (page: number): number => this.entryPageAt(page);
    return this.areWhole(entries, first / ENTRIES_PER_PAGE, ENTRIES_PER_PAGE * ENTRY_BYTES, pageAt);
  }

  private areWhole(
    bytes: Uint8Array,
    firstPage: number,
    pageBytes: number,
    pageAt: (page: number) => number,
  ): boolean {
    for (let start = 0; start < bytes.length; start += pageBytes) {
      const crc = crc32(bytes, start, Math.min(start + pageBytes, bytes.length));
      if (crc !== this.view.getUint32(pageAt(firstPage + start / pageBytes), true)) return false;
    }
    return true;
  }

  private firstHash(page: number): number {
    return this.view.getUint32(HEAD_BYTES + page * KEY_PAGE_BYTES + 4, true);
  }

  private firstOffset(page: number): number {
    return this.view.getFloat64(this.entryPageAt(page) + 8, true);
  }

  private entryPageAt(page: number): number {
    return HEAD_BYTES + this.pages.keys * KEY_PAGE_BYTES + page * ENTRY_PAGE_BYTES;
  }
}
