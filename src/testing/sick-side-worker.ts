/**
 * A task of the side pool on a disk with one bad place: a read that touches it fails, and everything read with it. Every other
 * byte is 7.
 */
import type { ColdResult, SideTask } from '../broker/side-job-worker.ts';

export const BAD_POSITION = 4096;

// biome-ignore lint/style/noDefaultExport: piscina calls the default export of a task file
export default function runTask(task: SideTask): ColdResult {
  if ('job' in task) throw new Error('only reads');
  if (task.extents.some(({ position }) => position === BAD_POSITION)) throw new Error('EIO');
  const bytes = task.extents.reduce((sum, extent) => sum + extent.bytes, 0);
  return { buffer: new Uint8Array(bytes).fill(7), errors: task.extents.map(() => undefined) };
}
