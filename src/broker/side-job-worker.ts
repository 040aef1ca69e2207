/** Task of the side-job pool (piscina): one side job, or a run of cold reads, on the files of one shard. */

import type { ErrorCode } from '../base/error-codes.ts';
import { toSluiceError } from '../base/errors.ts';
import { FileStorage } from '../log/file-storage.ts';
import { readStoredBatch, runSideJob } from '../log/run-side-job.ts';
import type { SideJob, SideJobResult } from '../log/side-job.ts';

/** One batch to read. */
export type ColdExtent = { readonly position: number; readonly bytes: number };

export type SideTask =
  | { readonly directory: string; readonly job: SideJob }
  | {
      readonly directory: string;
      readonly extents: readonly ColdExtent[];
      readonly segmentBytes: number;
    };

/** One result per extent, in order. */
export type ColdResult =
  | { readonly bytes: Uint8Array }
  | { readonly code: ErrorCode; readonly message: string };

// biome-ignore lint/style/noDefaultExport: piscina calls the default export of a task file
export default function runTask(task: SideTask): SideJobResult | ColdResult[] {
  const storage = new FileStorage(task.directory);
  if ('job' in task) return runSideJob(storage, task.job);
  return task.extents.map((extent) => {
    try {
      return { bytes: readStoredBatch(storage, extent.position, extent.bytes, task.segmentBytes) };
    } catch (error) {
      const { code, message } = toSluiceError(error, 'STORAGE_IO');
      return { code, message };
    }
  });
}
