/**
 * What says that a segment was let go, in the directory of the log. A snapshot may name a segment that retention has let go
 * since: a file that is missing without such a mark is damage, and is reported. The mark is on the disk before the file goes,
 * and stays until no snapshot names the segment. Called by side jobs, and by recovery before the shard serves.
 */
import { toSluiceError } from '../base/errors.ts';
import { indexName, releasedName, segmentName, segmentOfReleasedName } from './file-names.ts';
import type { Storage } from './storage.ts';

/** Segments that were let go, as far as a snapshot may still name them. */
export function releasedSegments(storage: Storage): number[] {
  return storage
    .list()
    .map(segmentOfReleasedName)
    .filter((segment) => segment !== undefined);
}

/** Says on the disk that these segments are let go. @throws STORAGE_IO; then no file may go */
export function markReleased(storage: Storage, segments: readonly number[]): void {
  for (const segment of segments) {
    // The index is not needed any more and becomes the mark: that takes no room on a full disk.
    if (storage.exists(indexName(segment)))
      storage.rename(indexName(segment), releasedName(segment));
    else if (!storage.exists(releasedName(segment))) createMark(storage, segment);
  }
  try {
    storage.syncDirectory();
  } catch (error) {
    // Marks that may not be there for good are taken back: without a change of names, the next sync says nothing about them.
    for (const segment of segments)
      if (storage.exists(releasedName(segment))) storage.remove(releasedName(segment));
    throw error;
  }
}

/** Removes files of segments that are marked. @throws STORAGE_IO */
export function removeReleased(storage: Storage, segments: readonly number[]): void {
  for (const segment of segments)
    if (storage.exists(segmentName(segment))) storage.remove(segmentName(segment));
  storage.syncDirectory();
}

/** Takes the marks away. One that comes back after a power cut does no harm. @throws STORAGE_IO */
export function forgetReleased(storage: Storage, segments: readonly number[]): void {
  for (const segment of segments)
    if (storage.exists(releasedName(segment))) storage.remove(releasedName(segment));
}

/** A full disk must not keep a segment from going: then a start before the next snapshot reports too much, never too little. */
function createMark(storage: Storage, segment: number): void {
  try {
    storage.open(releasedName(segment), true).close();
  } catch (error) {
    if (toSluiceError(error).code !== 'STORAGE_FULL') throw error;
  }
}
