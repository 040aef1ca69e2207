/**
 * Task of the side-job pool (piscina): one side job, or a run of cold reads, on the files of one shard. Extents that lie
 * near each other are read in one piece, and all of a task's bytes travel back in one buffer that is moved, not copied.
 */
import { move, transferableSymbol, valueSymbol } from 'piscina';
import type { ErrorCode } from '../base/error-codes.ts';
import { toSluiceError } from '../base/errors.ts';
import { FileStorage } from '../log/file-storage.ts';
import { runSideJob } from '../log/run-side-job.ts';
import { memoryOf, type SideJob } from '../log/side-job.ts';
import { checkStoredBatch, readExtents } from '../log/stored-read.ts';

/** One batch to read. */
export type ColdExtent = { readonly position: number; readonly bytes: number };

export type SideTask =
  | { readonly directory: string; readonly job: SideJob }
  | {
      readonly directory: string;
      readonly extents: readonly ColdExtent[];
      readonly segmentBytes: number;
    };

/** The extents' bytes one after another in `buffer`, and per extent why it cannot be used, if so. */
export type ColdResult = {
  readonly buffer: Uint8Array;
  readonly errors: readonly ({ readonly code: ErrorCode; readonly message: string } | undefined)[];
};

const storages = new Map<string, FileStorage>();

function storageOf(directory: string): FileStorage {
  let storage = storages.get(directory);
  if (storage === undefined) {
    storage = new FileStorage(directory);
    storages.set(directory, storage);
  }
  return storage;
}

// biome-ignore lint/style/noDefaultExport: piscina calls the default export of a task file
export default function runTask(task: SideTask): unknown {
  const storage = storageOf(task.directory);
  if ('job' in task) {
    const result = runSideJob(storage, task.job);
    return moved(result, memoryOf(result));
  }
  const buffer = new Uint8Array(task.extents.reduce((sum, extent) => sum + extent.bytes, 0));
  const missing = readExtents(storage, task.extents, task.segmentBytes, buffer);
  let at = 0;
  const errors = task.extents.map((extent, index) => {
    const part = buffer.subarray(at, at + extent.bytes);
    at += extent.bytes;
    try {
      const failure = missing[index];
      if (failure !== undefined) throw failure;
      checkStoredBatch(part, extent.position);
      return undefined;
    } catch (error) {
      const { code, message } = toSluiceError(error, 'STORAGE_IO');
      return { code, message };
    }
  });
  const result: ColdResult = { buffer, errors };
  return moved(result, [buffer.buffer]);
}

/** What a task answers, with memory that goes along. */
function moved(value: object, memory: readonly ArrayBuffer[]): unknown {
  return memory.length === 0
    ? value
    : move({ [transferableSymbol]: memory, [valueSymbol]: value } as never);
}
