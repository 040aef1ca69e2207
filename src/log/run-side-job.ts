/** Carries out one side job on a storage. Blocks; runs on a piscina thread, or inline in tests and simulation. */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import { setFollowing } from './cut-tail.ts';
import { indexName, segmentName, TEMPORARY_SUFFIX } from './file-names.ts';
import { findKey, locate } from './find-messages.ts';
import { IndexBuilder, IndexReader } from './index-file.ts';
import { forgetReleased, markReleased, removeReleased } from './released.ts';
import { appendSettled, writeSettled } from './settled-file.ts';
import type { SideJob, SideJobResult } from './side-job.ts';
import { writeSnapshot } from './snapshot.ts';
import type { Storage } from './storage.ts';
import {
  isStoredBatch,
  readExtents,
  readStoredBatch,
  type SegmentShape,
  walkSegment,
} from './stored-read.ts';

/** Entries of one page: some 100 KiB, a few milliseconds of delivering. */
const PAGE_ENTRIES = 2048;
const ZEROS_BYTES: number = MIB;
/** Zeros are synced in pieces: the flusher's barrier waits behind one of them, not behind a whole segment. */
const ZEROS_SYNC_BYTES: number = 2 * MIB;

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
    case 'release-segments':
      markReleased(storage, job.released);
      if (job.removed.length > 0) removeReleased(storage, job.removed);
      return volume(storage);
    case 'forget-released':
      forgetReleased(storage, job.segments);
      return {};
    case 'read-batch':
      return { bytes: readStoredBatch(storage, job.position, job.bytes, job.segmentBytes) };
    case 'read-batches':
      return readBatches(storage, job);
    case 'find-key':
      return { found: findKey(storage, job) };
    case 'locate':
      return { found: locate(storage, job) };
    case 'scrub':
      return { damaged: scrub(storage, job) };
    case 'set-following':
      setFollowing(storage, job.follows);
      return {};
    case 'write-settled':
      writeSettled(storage, job.bytes);
      return {};
    case 'append-settled':
      appendSettled(storage, job.byteOffset, job.bytes);
      return {};
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
    publishSegment(storage, segmentName(job.recycle), name);
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
  const temporary = `${name}${TEMPORARY_SUFFIX}`;
  const file = storage.open(temporary, true);
  try {
    const zeros = new Uint8Array(Math.min(ZEROS_BYTES, bytes));
    for (let at = 0; at < bytes; at += zeros.length) {
      if (at > 0 && at % ZEROS_SYNC_BYTES === 0) file.sync();
      file.write(zeros.subarray(0, Math.min(zeros.length, bytes - at)), at);
    }
    file.sync();
  } catch (error) {
    file.close();
    storage.remove(temporary);
    throw error;
  }
  file.close();
  publishSegment(storage, temporary, name);
}

/** Gives a file the name of a segment, on the disk. A name that may not be there for good is taken back. */
function publishSegment(storage: Storage, from: string, to: string): void {
  storage.rename(from, to);
  try {
    storage.syncDirectory();
  } catch (error) {
    storage.remove(to);
    throw error;
  }
}

/** A page that its index does not have undamaged is had from the segment itself. */
function loadPage(storage: Storage, job: JobOf<'load-page'>): Float64Array {
  const page = pageOfIndex(storage, job);
  if (page !== undefined) return page;
  buildIndex(storage, job);
  const built = pageOfIndex(storage, job);
  if (built !== undefined) return built;
  throw new SluiceError('STORAGE_IO', `the index of segment ${job.segment} cannot be read back`);
}

function pageOfIndex(storage: Storage, job: JobOf<'load-page'>): Float64Array | undefined {
  const reader = IndexReader.open(storage, job.segment);
  try {
    return reader?.page(job.topicId, job.queueId, job.offset, PAGE_ENTRIES);
  } finally {
    reader?.close();
  }
}

function buildIndex(storage: Storage, job: SegmentShape): void {
  const builder = new IndexBuilder();
  walkSegment(storage, job, (bytes, view, at) => builder.add(bytes, view, at));
  builder.write(storage, job.segment);
}

function readBatches(
  storage: Storage,
  { extents, segmentBytes }: JobOf<'read-batches'>,
): { bytes: Uint8Array; damaged: number[] } {
  const bytes = new Uint8Array(extents.reduce((sum, extent) => sum + extent.bytes, 0));
  const failures = readExtents(storage, extents, segmentBytes, bytes);
  const damaged: number[] = [];
  let at = 0;
  for (const [index, extent] of extents.entries()) {
    const stored = bytes.subarray(at, at + extent.bytes);
    if (failures[index] !== undefined || !isStoredBatch(stored, extent.position))
      damaged.push(extent.position);
    at += extent.bytes;
  }
  return { bytes, damaged };
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
