/**
 * The index of one sealed segment: its consume-queue entries by queue, and its message keys by hash. Built by a side job
 * from nothing but the segment's file, so that it can be rebuilt whenever it is missing or damaged.
 *
 *   0 u32 magic   4 u32 crc of 8..end of the queues   8 u32 segment   12 u32 queueCount   16 u32 entryCount   20 u32 keyCount
 *   24 u32 crc of entries and keys   28 u32 number of key pages, and in the highest bit whether entries have pages too; 0: no page table
 *   32 queues, by topicId and queueId, 16 bytes: u32 topicId, u32 queueId, u32 first entry, u32 entries
 *      entries, 7 float64 each (entry-table.ts)
 *      keys, by hash, 16 bytes: u32 hash, u32 topicId, u64 position of the batch
 *      page table (index-pages.ts)
 *
 * A look-up by key, or of a queue's entries, reads the page table and the few pages that may hold them, each checked by
 * itself, and not the rest. Files of earlier versions, without such pages, are read and checked as a whole.
 */
import { getU64, setU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32-native.ts';
import { recordsStart } from '../protocol/batch/batch-check.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { ENTRY_NUMBERS } from './entry-table.ts';
import { indexName, TEMPORARY_SUFFIX } from './file-names.ts';
import {
  ENTRY_BYTES,
  type IndexShape,
  KEY_BYTES,
  keyPagesOf,
  PageTable,
  pageTableBytes,
  writePageTable,
} from './index-pages.ts';
import { visitKeyHashes } from './record-keys.ts';
import { writeWholeFile } from './snapshot.ts';
import type { Storage, StorageFile } from './storage.ts';

const MAGIC = 0x58495153;
const HEADER_BYTES = 32;
const QUEUE_BYTES = 16;
const HAS_ENTRY_PAGES = 0x8000_0000;

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
    const shape = { entriesAt, entryCount, keyCount: this.keys.length, hasEntryPages: true };
    const bytes = new Uint8Array(keysEnd + pageTableBytes({ ...shape, hasKeyPages: true }));
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
    view.setUint32(28, (keyPagesOf(this.keys.length) | HAS_ENTRY_PAGES) >>> 0, true);
    writePageTable(bytes, view, { ...shape, hasKeyPages: true });
    view.setUint32(4, crc32(bytes, 8, entriesAt), true);
    return bytes;
  }
}

/** What a queue has in the index: entries `first` to `end`, the latter exclusive. */
type QueuePart = { readonly first: number; readonly end: number };

/** An open index whose header and list of queues were verified. */
export class IndexReader {
  private readonly file: StorageFile;
  private readonly head: DataView;
  private readonly shape: IndexShape;

  private constructor(file: StorageFile, head: DataView, shape: IndexShape) {
    this.file = file;
    this.head = head;
    this.shape = shape;
  }

  /** @returns undefined when there is no index or it is damaged: build it anew @throws STORAGE_IO */
  static open(storage: Storage, segment: number): IndexReader | undefined {
    const name = indexName(segment);
    if (!storage.exists(name)) return undefined;
    const file = storage.open(name, false);
    let head: DataView | undefined;
    try {
      head = readHead(file, segment);
    } finally {
      // A disk that does not give it is asked again and again: no file may stay open each time.
      if (head === undefined) file.close();
    }
    return head === undefined ? undefined : new IndexReader(file, head, shapeOf(head));
  }

  /** Are entries, keys and page table undamaged? Reads them all. */
  verify(): boolean {
    const bytes = new Uint8Array(this.keysEnd - this.shape.entriesAt);
    this.file.read(bytes, this.shape.entriesAt);
    if (crc32(bytes, 0, bytes.length) !== this.head.getUint32(24, true)) return false;
    return pageTableBytes(this.shape) === 0 || this.pageTable() !== undefined;
  }

  /**
   * Up to `max` entries of a queue, beginning with the one that holds `offset` or follows it; undefined when what had to be
   * read is damaged.
   */
  page(topicId: number, queueId: number, offset: number, max: number): Float64Array | undefined {
    const part = this.queuePart(topicId, queueId);
    if (part === undefined || part.first === part.end) return new Float64Array(0);
    if (!this.shape.hasEntryPages)
      return this.verify() ? entriesFrom(this.entries(part), offset, max) : undefined;
    const table = this.pageTable();
    if (table === undefined) return undefined;
    const { first, end } = table.entriesAround(part, offset, max);
    const pages = table.entryPages(first, end);
    const bytes = new Uint8Array((pages.end - pages.first) * ENTRY_BYTES);
    this.file.read(bytes, this.shape.entriesAt + pages.first * ENTRY_BYTES);
    if (!table.areEntriesWhole(bytes, pages.first)) return undefined;
    const at = (first - pages.first) * ENTRY_NUMBERS;
    const entries = new Float64Array(bytes.buffer, at * 8, (end - first) * ENTRY_NUMBERS);
    return entriesFrom(entries, offset, max);
  }

  /** Positions of the batches of a topic that may hold this key, newest first; undefined when what had to be read is damaged. */
  findKey(topicId: number, hash: number): number[] | undefined {
    const view = this.keysAround(hash);
    return view === undefined ? undefined : positionsIn(view, topicId, hash);
  }

  close(): void {
    this.file.close();
  }

  /** The pages that may hold a hash, side by side; all keys of a file without a page table. */
  private keysAround(hash: number): DataView | undefined {
    if (!this.shape.hasKeyPages)
      return this.verify() ? this.keys(0, this.shape.keyCount) : undefined;
    const table = this.pageTable();
    if (table === undefined) return undefined;
    const { first, end } = table.keysAround(hash);
    const view = this.keys(first, end);
    return table.areKeysWhole(new Uint8Array(view.buffer), first) ? view : undefined;
  }

  private queuePart(topicId: number, queueId: number): QueuePart | undefined {
    for (let index = 0; index < this.head.getUint32(12, true); index += 1) {
      const at = HEADER_BYTES + index * QUEUE_BYTES;
      if (this.head.getUint32(at, true) !== topicId) continue;
      if (this.head.getUint32(at + 4, true) !== queueId) continue;
      const first = this.head.getUint32(at + 8, true);
      return { first, end: first + this.head.getUint32(at + 12, true) };
    }
    return undefined;
  }

  private get keysAt(): number {
    return this.shape.entriesAt + this.shape.entryCount * ENTRY_BYTES;
  }

  private get keysEnd(): number {
    return this.keysAt + this.shape.keyCount * KEY_BYTES;
  }

  private keys(first: number, end: number): DataView {
    const bytes = new Uint8Array((end - first) * KEY_BYTES);
    this.file.read(bytes, this.keysAt + first * KEY_BYTES);
    return new DataView(bytes.buffer);
  }

  /** Undefined when it is damaged. */
  private pageTable(): PageTable | undefined {
    const bytes = new Uint8Array(pageTableBytes(this.shape));
    this.file.read(bytes, this.keysEnd);
    return PageTable.of(bytes, this.shape);
  }

  private entries({ first, end }: QueuePart): Float64Array {
    const bytes = new Uint8Array((end - first) * ENTRY_BYTES);
    this.file.read(bytes, this.shape.entriesAt + first * ENTRY_BYTES);
    return new Float64Array(bytes.buffer);
  }
}

/** Header and list of queues; undefined when they are damaged, or not those of this file and segment. */
function readHead(file: StorageFile, segment: number): DataView | undefined {
  const first = new Uint8Array(HEADER_BYTES);
  const firstView = new DataView(first.buffer);
  if (file.read(first, 0) !== HEADER_BYTES || firstView.getUint32(0, true) !== MAGIC)
    return undefined;
  const shape = shapeOf(firstView);
  const { entriesAt, entryCount, keyCount } = shape;
  const total = entriesAt + entryCount * ENTRY_BYTES + keyCount * KEY_BYTES + pageTableBytes(shape);
  if (total !== file.size() || firstView.getUint32(8, true) !== segment) return undefined;
  const head = new Uint8Array(entriesAt);
  file.read(head, 0);
  const view = new DataView(head.buffer);
  if (view.getUint32(4, true) !== crc32(head, 8, entriesAt)) return undefined;
  const pages = view.getUint32(28, true) % HAS_ENTRY_PAGES;
  return pages === (shape.hasKeyPages ? keyPagesOf(keyCount) : 0) ? view : undefined;
}

function shapeOf(head: DataView): IndexShape {
  const pages = head.getUint32(28, true);
  return {
    entriesAt: HEADER_BYTES + head.getUint32(12, true) * QUEUE_BYTES,
    entryCount: head.getUint32(16, true),
    keyCount: head.getUint32(20, true),
    hasKeyPages: pages !== 0,
    hasEntryPages: pages >= HAS_ENTRY_PAGES,
  };
}

/** Up to `max` of these entries, beginning with the one that holds `offset` or follows it. */
function entriesFrom(entries: Float64Array, offset: number, max: number): Float64Array {
  let low = 0;
  let high = entries.length / ENTRY_NUMBERS;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = middle * ENTRY_NUMBERS;
    if ((entries[at] as number) + (entries[at + 1] as number) > offset) high = middle;
    else low = middle + 1;
  }
  return entries.slice(low * ENTRY_NUMBERS, (low + max) * ENTRY_NUMBERS);
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
