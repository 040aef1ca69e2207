/**
 * Brings a shard's directory in order before recovery reads it: files that were being made go, indexes of segments that are
 * gone go, marks of segments that are there after all go, and the names that are there are put on the disk. Blocks: runs before the shard serves.
 */
import {
  segmentOfIndexName,
  segmentOfName,
  segmentOfReleasedName,
  TEMPORARY_SUFFIX,
} from './file-names.ts';
import type { Storage } from './storage.ts';

/** @throws STORAGE_IO */
export function repairDirectory(storage: Storage): void {
  const names = storage.list();
  const segments = new Set(names.map(segmentOfName));
  for (const name of names) {
    const segment = segmentOfIndexName(name);
    const released = segmentOfReleasedName(name);
    if (name.endsWith(TEMPORARY_SUFFIX)) storage.remove(name);
    else if (released !== undefined && segments.has(released)) storage.remove(name);
    else if (segment !== undefined && !segments.has(segment)) storage.remove(name);
  }
  // A process that was killed between a change of names and its sync left names that everybody sees and no disk has: a
  // segment among them would take flushed messages with it in a power cut.
  storage.syncDirectory();
}
