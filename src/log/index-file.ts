/**
 * The index of one sealed segment: its consume-queue entries by queue, and its message keys by hash. Built by a side job
 * from nothing but the segment's file, so that it can be rebuilt whenever it is missing or damaged.
 *
 *   0 u32 magic   4 u32 crc of 8..end of the queues   8 u32 segment   12 u32 queueCount   16 u32 entryCount   20 u32 keyCount
 *   24 u32 crc of entries and keys   28 u32 number of key pages; 0: no page table (a file of an earlier version)
 *   32 queues, by topicId and queueId, 16 bytes: u32 topicId, u32 queueId, u32 first entry, u32 entries
 *      entries, 7 float64 each (entry-table.ts)
 *      keys, by hash, 16 bytes: u32 hash, u32 topicId, u64 position of the batch
 *      page table: u32 crc of what follows, u32 0, then 8 bytes for each 512 keys: u32 crc of the page, u32 hash of its first key
 *
 * A look-up by key reads the page table and the page or two that may hold its hash, each checked by itself, and not the rest.
 */
import { getU64, setU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32-native.ts';
import { recordsStart } from '../protocol/batch/batch-check.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { ENTRY_NUMBERS } from './entry-table.ts';
import { indexName, TEMPORARY_SUFFIX } from './file-names.ts';
import { visitKeyHashes } from './record-keys.ts';
import { writeWholeFile } from './snapshot.ts';
import type { Storage, StorageFile } from './storage.ts';

const MAGIC = 0x58495153;
const HEADER_BYTES = 32;
const QUEUE_BYTES = 16;
const ENTRY_BYTES: number = ENTRY_NUMBERS * 8;
const KEY_BYTES = 16;
/** Keys of one page: 8 KiB. */
const KEYS_PER_PAGE = 512;
const PAGE_TABLE_HEAD_BYTES = 8;
const PAGE_ENTRY_BYTES = 8;

/** Collects what a segment's batches say while somebody walks them; then writes the index. */
export class IndexBuilder {
  private readonly queues = new Map<
    number,
    { topicId: number; queueId: number; numbers: number[] }
  >();
  private readonly keys: { hash: number; topicId: number; position: number }[] = [];

  /** Takes in the data batch at `at`; its checksums were verified. */
  add(bytes: Uint8Array, view: DataView, at: number): void {
    if (view.getUint16(at + layout.STORED_KIND, true) !== layout.KIND_DATA) return;
    const topicId = view.getUint32(at + layout.STORED_TOPIC_ID, true);
    const queueId = view.getUint16(at + layout.STORED_QUEUE_ID, true);
    const position = getU64(view, at + layout.STORED_POSITION);
    const batchAt = at + layout.STORED_HEADER_BYTES;
    const queue = this.queue(topicId, queueId);
    queue.numbers.push(
      getU64(view, at + layout.STORED_BASE_OFFSET),
      view.getUint32(batchAt + layout.BATCH_RECORD_COUNT, true),
      position,
      view.getUint32(at + layout.STORED_BYTES, true),
      view.getUint32(batchAt + layout.BATCH_BLOOM_LOW, true),
      view.getUint32(batchAt + layout.BATCH_BLOOM_HIGH, true),
      getU64(view, at + layout.STORED_AT_MS),
    );
    this.addKeys(bytes, view, batchAt, topicId, position);
  }

  /** Writes the index of `segment`, replacing one that is there. @throws STORAGE_IO, STORAGE_FULL */
  write(storage: Storage, segment: number): void {
    const bytes = this.encode(segment);
    const name = indexName(segment);
    writeWholeFile(storage, `${name}${TEMPORARY_SUFFIX}`, bytes);
    storage.rename(`${name}${TEMPORARY_SUFFIX}`, name);
    storage.syncDirectory();
  }

  private queue(topicId: number, queueId: number): { numbers: number[] } {
    const key = topicId * 65_536 + queueId;
    let queue = this.queues.get(key);
    if (queue === undefined) {
      queue = { topicId, queueId, numbers: [] };
      this.queues.set(key, queue);
    }
    return queue;
  }

  private addKeys(
    bytes: Uint8Array,
    view: DataView,
    batchAt: number,
    topicId: number,
    position: number,
  ): void {
    const count = view.getUint32(batchAt + layout.BATCH_RECORD_COUNT, true);
    let record = recordsStart(view, batchAt);
    let lastHash = -1;
    const add = (hash: number): void => {
      // Look-up reads the whole batch: one entry for a run of the same key is enough.
      if (hash !== lastHash) this.keys.push({ hash, topicId, position });
      lastHash = hash;
    };
    for (let index = 0; index < count; index += 1) {
      visitKeyHashes(bytes, view, record, add);
      record += view.getUint32(record + layout.RECORD_BYTES, true);
    }
  }

  private encode(segment: number): Uint8Array {
    const queues = [...this.queues.values()].sort(
      (a, b) => a.topicId - b.topicId || a.queueId - b.queueId,
    );
    this.keys.sort((a, b) => a.hash - b.hash || a.position - b.position);
    const entryCount = queues.reduce((sum, queue) => sum + queue.numbers.length / ENTRY_NUMBERS, 0);
    const entriesAt = HEADER_BYTES + queues.length * QUEUE_BYTES;
    const keysAt = entriesAt + entryCount * ENTRY_BYTES;
    const keysEnd = keysAt + this.keys.length * KEY_BYTES;
    const pages = Math.ceil(this.keys.length / KEYS_PER_PAGE);
    const bytes = new Uint8Array(keysEnd + pageTableBytes(pages));
    const view = new DataView(bytes.buffer);
    let entry = 0;
    queues.forEach((queue, index) => {
      const at = HEADER_BYTES + index * QUEUE_BYTES;
      view.setUint32(at, queue.topicId, true);
      view.setUint32(at + 4, queue.queueId, true);
      view.setUint32(at + 8, entry, true);
      view.setUint32(at + 12, queue.numbers.length / ENTRY_NUMBERS, true);
      queue.numbers.forEach((number, place) => {
        view.setFloat64(entriesAt + entry * ENTRY_BYTES + place * 8, number, true);
      });
      entry += queue.numbers.length / ENTRY_NUMBERS;
    });
    this.keys.forEach((key, index) => {
      const at = keysAt + index * KEY_BYTES;
      view.setUint32(at, key.hash, true);
      view.setUint32(at + 4, key.topicId, true);
      setU64(view, at + 8, key.position);
    });
    view.setUint32(0, MAGIC, true);
    view.setUint32(8, segment, true);
    view.setUint32(12, queues.length, true);
    view.setUint32(16, entryCount, true);
    view.setUint32(20, this.keys.length, true);
    view.setUint32(24, crc32(bytes, entriesAt, keysEnd), true);
    view.setUint32(28, pages, true);
    for (let page = 0; page < pages; page += 1) {
      const start = keysAt + page * KEYS_PER_PAGE * KEY_BYTES;
      const end = Math.min(start + KEYS_PER_PAGE * KEY_BYTES, keysEnd);
      const at = keysEnd + PAGE_TABLE_HEAD_BYTES + page * PAGE_ENTRY_BYTES;
      view.setUint32(at, crc32(bytes, start, end), true);
      view.setUint32(at + 4, view.getUint32(start, true), true);
    }
    if (pages > 0) view.setUint32(keysEnd, crc32(bytes, keysEnd + 4, bytes.length), true);
    view.setUint32(4, crc32(bytes, 8, entriesAt), true);
    return bytes;
  }
}

/** An open index whose header and list of queues were verified. */
export class IndexReader {
  private readonly file: StorageFile;
  private readonly head: DataView;
  private readonly entriesAt: number;

  private constructor(file: StorageFile, head: DataView, entriesAt: number) {
    this.file = file;
    this.head = head;
    this.entriesAt = entriesAt;
  }

  /** @returns undefined when there is no index or it is damaged: build it anew */
  static open(storage: Storage, segment: number): IndexReader | undefined {
    const name = indexName(segment);
    if (!storage.exists(name)) return undefined;
    const file = storage.open(name, false);
    const first = new Uint8Array(HEADER_BYTES);
    const firstView = new DataView(first.buffer);
    if (file.read(first, 0) === HEADER_BYTES && firstView.getUint32(0, true) === MAGIC) {
      const entriesAt = HEADER_BYTES + firstView.getUint32(12, true) * QUEUE_BYTES;
      const total =
        entriesAt +
        firstView.getUint32(16, true) * ENTRY_BYTES +
        firstView.getUint32(20, true) * KEY_BYTES +
        pageTableBytes(firstView.getUint32(28, true));
      if (total === file.size() && firstView.getUint32(8, true) === segment) {
        const head = new Uint8Array(entriesAt);
        file.read(head, 0);
        const view = new DataView(head.buffer);
        const pages = view.getUint32(28, true);
        const isPaged = pages === Math.ceil(view.getUint32(20, true) / KEYS_PER_PAGE);
        if (view.getUint32(4, true) === crc32(head, 8, entriesAt) && (pages === 0 || isPaged))
          return new IndexReader(file, view, entriesAt);
      }
    }
    file.close();
    return undefined;
  }

  /** Are entries and keys undamaged? Reads them all. */
  verify(): boolean {
    const bytes = new Uint8Array(this.keysEnd - this.entriesAt);
    this.file.read(bytes, this.entriesAt);
    if (crc32(bytes, 0, bytes.length) !== this.head.getUint32(24, true)) return false;
    return this.pageCount === 0 || this.pageTable() !== undefined;
  }

  /** Up to `max` entries of a queue, beginning with the one that holds `offset` or follows it. */
  page(topicId: number, queueId: number, offset: number, max: number): Float64Array {
    for (let index = 0; index < this.head.getUint32(12, true); index += 1) {
      const at = HEADER_BYTES + index * QUEUE_BYTES;
      if (
        this.head.getUint32(at, true) !== topicId ||
        this.head.getUint32(at + 4, true) !== queueId
      )
        continue;
      const entries = this.entries(
        this.head.getUint32(at + 8, true),
        this.head.getUint32(at + 12, true),
      );
      let first = 0;
      while (first * ENTRY_NUMBERS < entries.length) {
        const place = first * ENTRY_NUMBERS;
        if ((entries[place] as number) + (entries[place + 1] as number) > offset) break;
        first += 1;
      }
      return entries.slice(first * ENTRY_NUMBERS, (first + max) * ENTRY_NUMBERS);
    }
    return new Float64Array(0);
  }

  /** Positions of the batches of a topic that may hold this key, newest first; undefined when what had to be read is damaged. */
  findKey(topicId: number, hash: number): number[] | undefined {
    const view = this.keysAround(hash);
    return view === undefined ? undefined : positionsIn(view, topicId, hash);
  }

  /** The pages that may hold a hash, side by side; all keys of a file without a page table. */
  private keysAround(hash: number): DataView | undefined {
    if (this.pageCount === 0)
      return this.verify() ? this.keys(0, this.head.getUint32(20, true)) : undefined;
    const table = this.pageTable();
    if (table === undefined) return undefined;
    const entryAt = (page: number): number => PAGE_TABLE_HEAD_BYTES + page * PAGE_ENTRY_BYTES;
    let low = 0;
    let high = this.pageCount;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (table.getUint32(entryAt(middle) + 4, true) < hash) low = middle + 1;
      else high = middle;
    }
    // The page before the first that begins with it, or above, may end with it.
    const first = Math.max(0, low - 1);
    let end = low;
    while (end < this.pageCount && table.getUint32(entryAt(end) + 4, true) === hash) end += 1;
    const count = Math.min(end * KEYS_PER_PAGE, this.head.getUint32(20, true));
    const view = this.keys(first * KEYS_PER_PAGE, Math.max(first * KEYS_PER_PAGE, count));
    const bytes = new Uint8Array(view.buffer);
    for (let page = first; page < end; page += 1) {
      const start = (page - first) * KEYS_PER_PAGE * KEY_BYTES;
      const pageEnd = Math.min(start + KEYS_PER_PAGE * KEY_BYTES, bytes.length);
      if (crc32(bytes, start, pageEnd) !== table.getUint32(entryAt(page), true)) return undefined;
    }
    return view;
  }

  private get pageCount(): number {
    return this.head.getUint32(28, true);
  }

  private get keysAt(): number {
    return this.entriesAt + this.head.getUint32(16, true) * ENTRY_BYTES;
  }

  private get keysEnd(): number {
    return this.keysAt + this.head.getUint32(20, true) * KEY_BYTES;
  }

  private keys(first: number, end: number): DataView {
    const bytes = new Uint8Array((end - first) * KEY_BYTES);
    this.file.read(bytes, this.keysAt + first * KEY_BYTES);
    return new DataView(bytes.buffer);
  }

  /** Undefined when it is damaged. */
  private pageTable(): DataView | undefined {
    const bytes = new Uint8Array(pageTableBytes(this.pageCount));
    this.file.read(bytes, this.keysEnd);
    const view = new DataView(bytes.buffer);
    return view.getUint32(0, true) === crc32(bytes, 4, bytes.length) ? view : undefined;
  }

  close(): void {
    this.file.close();
  }

  private entries(first: number, count: number): Float64Array {
    const bytes = new Uint8Array(count * ENTRY_BYTES);
    this.file.read(bytes, this.entriesAt + first * ENTRY_BYTES);
    return new Float64Array(bytes.buffer);
  }
}

function pageTableBytes(pages: number): number {
  return pages === 0 ? 0 : PAGE_TABLE_HEAD_BYTES + pages * PAGE_ENTRY_BYTES;
}

/** Positions of the batches of a topic that may hold a key with this hash, the newest first, out of keys in order. */
function positionsIn(view: DataView, topicId: number, hash: number): number[] {
  let low = 0;
  let high = view.byteLength / KEY_BYTES;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (view.getUint32(middle * KEY_BYTES, true) < hash) low = middle + 1;
    else high = middle;
  }
  const positions: number[] = [];
  for (
    let at = low * KEY_BYTES;
    at < view.byteLength && view.getUint32(at, true) === hash;
    at += KEY_BYTES
  ) {
    if (view.getUint32(at + 4, true) === topicId) positions.push(getU64(view, at + 8));
  }
  return positions.reverse();
}
