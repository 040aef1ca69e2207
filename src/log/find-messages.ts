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
import type { FoundMessage, SideJob } from './side-job.ts';
import type { Storage } from './storage.ts';
import { isStoredHeader } from './stored-header.ts';
import { readStoredBatch, walkSegment } from './stored-read.ts';

type JobOf<Kind extends SideJob['kind']> = Extract<SideJob, { kind: Kind }>;

/** Messages with a key, the newest first. */
export function findKey(storage: Storage, job: JobOf<'find-key'>): FoundMessage[] {
  const found: FoundMessage[] = [];
  for (const segment of job.open) found.push(...findKeyByWalk(storage, job, segment));
  const hash = fnv1a(job.key);
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
        collectKey(bytes, new DataView(bytes.buffer), 0, job.topicId, job.key, here);
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
    return reader?.verify() === true ? reader.findKey(topicId, hash) : undefined;
  } finally {
    reader?.close();
  }
}

/** The same from the segment itself, the newest first. */
function findKeyByWalk(storage: Storage, job: JobOf<'find-key'>, segment: number): FoundMessage[] {
  const found: FoundMessage[] = [];
  walkSegment(storage, { ...job, segment }, (bytes, view, at, position) => {
    if (position < job.committed) collectKey(bytes, view, at, job.topicId, job.key, found);
  });
  return found.reverse();
}

/** The batch that covers `value`, if its distance from the batch's start is the index of a record. */
export function locate(storage: Storage, job: JobOf<'locate'>): FoundMessage[] {
  const segment = Math.floor(job.value / job.segmentBytes);
  if (!storage.exists(segmentName(segment))) return [];
  const found: FoundMessage[] = [];
  walkSegment(storage, { ...job, segment }, (_bytes, view, at, position) => {
    const index = job.value - position;
    const batchBytes = view.getUint32(at + layout.STORED_BYTES, true);
    if (index < 0 || index >= batchBytes) return;
    if (view.getUint16(at + layout.STORED_KIND, true) !== layout.KIND_DATA) return;
    const count = view.getUint32(at + layout.STORED_HEADER_BYTES + layout.BATCH_RECORD_COUNT, true);
    if (index >= count) return;
    const topicId = view.getUint32(at + layout.STORED_TOPIC_ID, true);
    const queueId = view.getUint16(at + layout.STORED_QUEUE_ID, true);
    const baseOffset = getU64(view, at + layout.STORED_BASE_OFFSET);
    found.push({ topicId, queueId, baseOffset, position, batchBytes, index });
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
  key: string,
  found: FoundMessage[],
): void {
  if (view.getUint16(at + layout.STORED_KIND, true) !== layout.KIND_DATA) return;
  if (view.getUint32(at + layout.STORED_TOPIC_ID, true) !== topicId) return;
  const reader = new BatchReader().open(bytes, view, at + layout.STORED_HEADER_BYTES);
  while (reader.next()) {
    if (reader.keyBytes === 0 || reader.key !== key) continue;
    found.push({
      topicId,
      queueId: view.getUint16(at + layout.STORED_QUEUE_ID, true),
      baseOffset: getU64(view, at + layout.STORED_BASE_OFFSET),
      position: getU64(view, at + layout.STORED_POSITION),
      batchBytes: view.getUint32(at + layout.STORED_BYTES, true),
      index: reader.index,
    });
  }
}
