/** Carries out one side job on a storage. Blocks; runs on a piscina thread, or inline in tests and simulation. */
import { getU64 } from '../base/bytes.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { fnv1a } from '../base/fnv1a.ts';
import { MIB } from '../base/units.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { indexName, segmentName } from './file-names.ts';
import { IndexBuilder, IndexReader } from './index-file.ts';
import type { FoundMessage, SideJob, SideJobResult } from './side-job.ts';
import { writeSnapshot } from './snapshot.ts';
import type { Storage, StorageFile } from './storage.ts';
import { isStoredHeader, isStoredPayload, STORED_BYTES_MAX } from './stored-header.ts';

/** Entries of one page: some 100 KiB, a few milliseconds of delivering. */
const PAGE_ENTRIES = 2048;
const ZEROS_BYTES: number = MIB;
/** A segment is walked through a window of this size: the largest batch and some. */
const WALK_WINDOW_BYTES: number = 8 * MIB;

/** Never throws: an error becomes part of the result. */
export function runSideJob(storage: Storage, job: SideJob): SideJobResult {
  try {
    return { job: job.job, ...carryOut(storage, job) };
  } catch (error) {
    const failure = toSluiceError(error, 'STORAGE_IO');
    return { job: job.job, error: { code: failure.code, message: failure.message } };
  }
}

function carryOut(storage: Storage, job: SideJob): Omit<SideJobResult, 'job'> {
  switch (job.kind) {
    case 'prepare-segment':
      return prepareSegment(storage, job);
    case 'load-page':
      return { numbers: loadPage(storage, job) };
    case 'build-index':
      buildIndex(storage, job);
      return {};
    case 'write-snapshot':
      writeSnapshot(storage, job.position, job.bytes);
      return {};
    case 'remove-segments':
      for (const segment of job.segments) {
        for (const name of [segmentName(segment), indexName(segment)])
          if (storage.exists(name)) storage.remove(name);
      }
      storage.syncDirectory();
      return volume(storage);
    case 'read-batch':
      return { bytes: readStoredBatch(storage, job.position, job.bytes, job.segmentBytes) };
    case 'find-key':
      return { found: findKey(storage, job) };
    case 'locate':
      return { found: locate(storage, job) };
    case 'scrub':
      return { damaged: scrub(storage, job) };
    case 'measure-volume':
      return volume(storage);
  }
}

function volume(storage: Storage): { usedRatio: number; freeBytes: number } {
  const { freeBytes, totalBytes } = storage.space();
  return { usedRatio: totalBytes === 0 ? 0 : 1 - freeBytes / totalBytes, freeBytes };
}

type JobOf<Kind extends SideJob['kind']> = Extract<SideJob, { kind: Kind }>;

function prepareSegment(
  storage: Storage,
  job: JobOf<'prepare-segment'>,
): Omit<SideJobResult, 'job'> {
  const name = segmentName(job.segment);
  if (job.recycle !== null && storage.exists(segmentName(job.recycle))) {
    // The old bytes stay: each batch names its position, so none of them can pass for a new one.
    if (storage.exists(indexName(job.recycle))) storage.remove(indexName(job.recycle));
    storage.rename(segmentName(job.recycle), name);
    storage.syncDirectory();
    return volume(storage);
  }
  const before = volume(storage);
  if (before.usedRatio > job.usedRatioMax || before.freeBytes < job.segmentBytes * 2) {
    const percent = (ratio: number): string => `${(ratio * 100).toFixed(1)} %`;
    throw new SluiceError(
      'STORAGE_FULL',
      `${storage.location} is ${percent(before.usedRatio)} full with ${before.freeBytes} bytes free; ` +
        `a new segment of ${job.segmentBytes} bytes is made only below ${percent(job.usedRatioMax)} and with room for two`,
    );
  }
  writeZeroFile(storage, name, job.segmentBytes);
  return volume(storage);
}

/** A file full of zeros, on the disk with its name: not sparse, so that no later write can find the disk full. */
function writeZeroFile(storage: Storage, name: string, bytes: number): void {
  const temporary = `${name}.tmp`;
  const file = storage.open(temporary, true);
  try {
    const zeros = new Uint8Array(Math.min(ZEROS_BYTES, bytes));
    for (let at = 0; at < bytes; at += zeros.length)
      file.write(zeros.subarray(0, Math.min(zeros.length, bytes - at)), at);
    file.sync();
  } catch (error) {
    file.close();
    storage.remove(temporary);
    throw error;
  }
  file.close();
  storage.rename(temporary, name);
  storage.syncDirectory();
}

function loadPage(storage: Storage, job: JobOf<'load-page'>): Float64Array {
  let reader = IndexReader.open(storage, job.segment);
  if (reader === undefined || !reader.verify()) {
    reader?.close();
    buildIndex(storage, job);
    reader = IndexReader.open(storage, job.segment);
  }
  if (reader === undefined)
    throw new SluiceError('STORAGE_IO', `the index of segment ${job.segment} cannot be read back`);
  try {
    return reader.page(job.topicId, job.queueId, job.offset, PAGE_ENTRIES);
  } finally {
    reader.close();
  }
}

type SegmentShape = {
  readonly segment: number;
  readonly segmentBytes: number;
  readonly chunkBytes: number;
};

function buildIndex(storage: Storage, job: SegmentShape): void {
  const builder = new IndexBuilder();
  walkSegment(storage, job, (bytes, view, at) => builder.add(bytes, view, at));
  builder.write(storage, job.segment);
}

function scrub(storage: Storage, job: SegmentShape): number[] {
  const damaged: number[] = [];
  walkSegment(
    storage,
    job,
    () => {},
    (position) => damaged.push(position),
  );
  return damaged;
}

/** Visits the valid batches of a segment; positions that hold none, between others, go to `damage`. */
export function walkSegment(
  storage: Storage,
  shape: SegmentShape,
  visit: (bytes: Uint8Array, view: DataView, at: number, position: number) => void,
  damage: (position: number) => void = () => {},
): void {
  const file = storage.open(segmentName(shape.segment), false);
  try {
    const bytes = new Uint8Array(Math.min(WALK_WINDOW_BYTES, shape.segmentBytes));
    const view = new DataView(bytes.buffer);
    const start = shape.segment * shape.segmentBytes;
    let windowAt = 0;
    let at = 0;
    let isDamaged = false;
    bytes.fill(0, file.read(bytes, 0));
    while (at < shape.segmentBytes) {
      const chunkLeft = shape.chunkBytes - (at % shape.chunkBytes);
      if (chunkLeft < layout.STORED_HEADER_BYTES) {
        at += chunkLeft;
        continue;
      }
      if (at + Math.min(chunkLeft, STORED_BYTES_MAX) > windowAt + bytes.length) {
        windowAt = at;
        bytes.fill(0, file.read(bytes, at));
      }
      const place = at - windowAt;
      const hasHeader = isStoredHeader(bytes, view, place, start + at, chunkLeft);
      if (hasHeader && isStoredPayload(bytes, view, place)) {
        visit(bytes, view, place, start + at);
        isDamaged = false;
        at += view.getUint32(place + layout.STORED_BYTES, true);
        continue;
      }
      if (!isDamaged) damage(start + at);
      isDamaged = true;
      at += hasHeader ? view.getUint32(place + layout.STORED_BYTES, true) : 8;
    }
  } finally {
    file.close();
  }
}

/** Is this the whole stored batch of `position`? @throws RECORD_CORRUPT when header or payload do not match */
export function checkStoredBatch(bytes: Uint8Array, position: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isStoredHeader(bytes, view, 0, position, bytes.length) && isStoredPayload(bytes, view, 0))
    return;
  throw new SluiceError(
    'RECORD_CORRUPT',
    `the batch at position ${position} does not match its checksums`,
  );
}

/**
 * Reads stored batches into `target`, one after another, unchecked; neighbours in one segment with one call.
 *
 * @returns why an extent could not be read, at its index
 */
export function readExtents(
  storage: Storage,
  extents: readonly { readonly position: number; readonly bytes: number }[],
  segmentBytes: number,
  target: Uint8Array,
): (SluiceError | undefined)[] {
  const failures: (SluiceError | undefined)[] = extents.map(() => undefined);
  let file: StorageFile | undefined;
  let fileSegment = -1;
  let at = 0;
  for (let first = 0; first < extents.length; ) {
    const { position } = extents[first] as { position: number };
    const segment = Math.floor(position / segmentBytes);
    let end = first;
    let bytes = 0;
    // A run of batches that follow each other, in order: what a consumer of one queue alone reads.
    while (
      end < extents.length &&
      (extents[end] as { position: number }).position === position + bytes
    ) {
      bytes += (extents[end] as { bytes: number }).bytes;
      end += 1;
    }
    if (fileSegment !== segment) {
      file?.close();
      fileSegment = segment;
      file = storage.exists(segmentName(segment))
        ? storage.open(segmentName(segment), false)
        : undefined;
    }
    if (file === undefined) {
      const text = `the segment of position ${position} was removed by retention`;
      failures.fill(new SluiceError('MESSAGE_NOT_FOUND', text), first, end);
    } else file.read(target.subarray(at, at + bytes), position % segmentBytes);
    at += bytes;
    first = end;
  }
  file?.close();
  return failures;
}

/**
 * Reads one stored batch and checks header and payload.
 *
 * @throws RECORD_CORRUPT when they do not match, MESSAGE_NOT_FOUND when the segment is gone or used anew
 */
export function readStoredBatch(
  storage: Storage,
  position: number,
  length: number,
  segmentBytes: number,
): Uint8Array {
  const bytes = new Uint8Array(length);
  const [failure] = readExtents(storage, [{ position, bytes: length }], segmentBytes, bytes);
  if (failure !== undefined) throw failure;
  checkStoredBatch(bytes, position);
  return bytes;
}

function findKey(storage: Storage, job: JobOf<'find-key'>): FoundMessage[] {
  const found: FoundMessage[] = [];
  for (const segment of job.open) {
    const here: FoundMessage[] = [];
    walkSegment(storage, { ...job, segment }, (bytes, view, at, position) => {
      if (position < job.committed) collectKey(bytes, view, at, job.topicId, job.key, here);
    });
    found.push(...here.reverse());
  }
  const hash = fnv1a(job.key);
  for (const segment of job.sealed) {
    if (found.length >= job.max) break;
    const reader = IndexReader.open(storage, segment);
    if (reader === undefined) continue;
    const positions = reader.findKey(job.topicId, hash);
    reader.close();
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

/** The batch that covers `value`, if its distance from the batch's start is the index of a record. */
function locate(storage: Storage, job: JobOf<'locate'>): FoundMessage[] {
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

function readWhole(
  storage: Storage,
  position: number,
  segmentBytes: number,
): Uint8Array | undefined {
  const head = new Uint8Array(layout.STORED_HEADER_BYTES);
  const file = storage.open(segmentName(Math.floor(position / segmentBytes)), false);
  file.read(head, position % segmentBytes);
  file.close();
  const view = new DataView(head.buffer);
  if (!isStoredHeader(head, view, 0, position, segmentBytes)) return undefined;
  return readStoredBatch(
    storage,
    position,
    view.getUint32(layout.STORED_BYTES, true),
    segmentBytes,
  );
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
