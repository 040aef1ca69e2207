/**
 * Finds messages in segment files: by key, through a segment's index or without it, and by what a message id says. Damage
 * is passed over, never an answer. Blocks; side-job threads.
 */
import { getU64 } from '../base/bytes.ts';
import { toSluiceError } from '../base/errors.ts';
import { fnv1a } from '../base/fnv1a.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { segmentName } from './file-names.ts';
import { IndexReader } from './index-file.ts';
import { hasKey } from './record-keys.ts';
import type { FoundMessage, SideJob } from './side-job.ts';
import type { Storage } from './storage.ts';
import { isStoredHeader, isStoredPayload } from './stored-header.ts';
import { readStoredBatch, walkHeaders } from './stored-read.ts';

type JobOf<Kind extends SideJob['kind']> = Extract<SideJob, { kind: Kind }>;

const encoder = new TextEncoder();

/** Messages with a key, or a word of one, or the id that their client gave them; the newest first. */
export function findKey(storage: Storage, job: JobOf<'find-key'>): FoundMessage[] {
  const found: FoundMessage[] = [];
  for (const segment of job.open) found.push(...findKeyByWalk(storage, job, segment));
  const hash = fnv1a(job.key);
  const key = encoder.encode(job.key);
  for (const segment of job.sealed) {
    if (found.length >= job.max) break;
    // Retention may have been faster.
    if (!storage.exists(segmentName(segment))) continue;
    const positions = findKeyPositions(storage, segment, job.topicId, hash);
    if (positions === undefined) {
      found.push(...findKeyByWalk(storage, job, segment));
      continue;
    }
    for (const position of positions) {
      const here: FoundMessage[] = [];
      const bytes = readWhole(storage, position, job.segmentBytes);
      if (bytes !== undefined)
        collectKey(bytes, new DataView(bytes.buffer), 0, job.topicId, key, here);
      found.push(...here.reverse());
    }
  }
  return found.slice(0, job.max);
}

/** What the index of a segment says; undefined when there is none or it is damaged. */
function findKeyPositions(
  storage: Storage,
  segment: number,
  topicId: number,
  hash: number,
): number[] | undefined {
  const reader = IndexReader.open(storage, segment);
  try {
    return reader?.findKey(topicId, hash);
  } finally {
    reader?.close();
  }
}

/**
 * The same from the segment itself, the newest first. A batch that has the key has its bytes somewhere: they are looked for
 * first, by what Node does fastest, and only batches around them are checked and read.
 */
function findKeyByWalk(storage: Storage, job: JobOf<'find-key'>, segment: number): FoundMessage[] {
  const found: FoundMessage[] = [];
  const key = encoder.encode(job.key);
  const endAt = job.committed - segment * job.segmentBytes;
  let windowAt = -1;
  let text: Buffer = Buffer.alloc(0);
  let hit = -1;
  walkHeaders(storage, { ...job, segment }, endAt, (bytes, view, at, position) => {
    if (position - at !== windowAt) {
      windowAt = position - at;
      text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      hit = indexFrom(text, key, at);
    } else if (hit < at) hit = indexFrom(text, key, at);
    if (hit >= at + view.getUint32(at + layout.STORED_BYTES, true)) return;
    if (isStoredPayload(bytes, view, at)) collectKey(bytes, view, at, job.topicId, key, found);
  });
  return found.reverse();
}

/** Where `key` is next; Infinity when it is not there any more. */
function indexFrom(text: Buffer, key: Uint8Array, from: number): number {
  const index = text.indexOf(key, from);
  return index < 0 ? Number.POSITIVE_INFINITY : index;
}

/** The batch that covers `value`, if its distance from the batch's start is the index of a record. */
export function locate(storage: Storage, job: JobOf<'locate'>): FoundMessage[] {
  const segment = Math.floor(job.value / job.segmentBytes);
  if (!storage.exists(segmentName(segment))) return [];
  const found: FoundMessage[] = [];
  const endAt = job.value - segment * job.segmentBytes + 1;
  walkHeaders(storage, { ...job, segment }, endAt, (bytes, view, at, position) => {
    const index = job.value - position;
    const batchBytes = view.getUint32(at + layout.STORED_BYTES, true);
    if (index < 0 || index >= batchBytes) return;
    const kind = view.getUint16(at + layout.STORED_KIND, true);
    if (kind !== layout.KIND_DATA && kind !== layout.KIND_DEFERRED) return;
    if (!isStoredPayload(bytes, view, at)) return;
    const isDeferred = kind === layout.KIND_DEFERRED;
    const count = view.getUint32(at + layout.STORED_HEADER_BYTES + layout.BATCH_RECORD_COUNT, true);
    if (index >= count) return;
    const topicId = view.getUint32(at + layout.STORED_TOPIC_ID, true);
    const queueId = view.getUint16(at + layout.STORED_QUEUE_ID, true);
    const baseOffset = getU64(view, at + layout.STORED_BASE_OFFSET);
    found.push({ topicId, queueId, baseOffset, position, batchBytes, index, isDeferred });
  });
  return found;
}

/** The batch at `position`; undefined when it is damaged. */
function readWhole(
  storage: Storage,
  position: number,
  segmentBytes: number,
): Uint8Array | undefined {
  const head = new Uint8Array(layout.STORED_HEADER_BYTES);
  const file = storage.open(segmentName(Math.floor(position / segmentBytes)), false);
  try {
    file.read(head, position % segmentBytes);
  } finally {
    file.close();
  }
  const view = new DataView(head.buffer);
  if (!isStoredHeader(head, view, 0, position, segmentBytes)) return undefined;
  const length = view.getUint32(layout.STORED_BYTES, true);
  try {
    return readStoredBatch(storage, position, length, segmentBytes);
  } catch (error) {
    if (toSluiceError(error).code === 'RECORD_CORRUPT') return undefined;
    throw error;
  }
}

function collectKey(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  topicId: number,
  key: Uint8Array,
  found: FoundMessage[],
): void {
  if (view.getUint16(at + layout.STORED_KIND, true) !== layout.KIND_DATA) return;
  if (view.getUint32(at + layout.STORED_TOPIC_ID, true) !== topicId) return;
  const reader = new BatchReader().open(bytes, view, at + layout.STORED_HEADER_BYTES);
  while (reader.next()) {
    if (!hasKey(bytes, view, reader.recordStart, key)) continue;
    found.push({
      topicId,
      queueId: view.getUint16(at + layout.STORED_QUEUE_ID, true),
      baseOffset: getU64(view, at + layout.STORED_BASE_OFFSET),
      position: getU64(view, at + layout.STORED_POSITION),
      batchBytes: view.getUint32(at + layout.STORED_BYTES, true),
      index: reader.index,
      isDeferred: false,
    });
  }
}
