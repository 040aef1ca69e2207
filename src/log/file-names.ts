/** Names of the files in a shard's directory: numbers only, never a topic or a group. */

/** Digits of a segment number: 2^48 bytes in the smallest segments still fit. */
const DIGITS = 12;
const SEGMENT = /^log-(\d{12})\.seg$/;
const INDEX = /^log-(\d{12})\.idx$/;
const RELEASED = /^log-(\d{12})\.gone$/;
const SNAPSHOT = /^state-(\d{16})\.snap$/;

export const CHECKPOINT_NAME = 'checkpoint';
/** Is there while the tail is being overwritten: found at a start, the attempt before did not come to its end. */
export const OVERWRITING_NAME = 'overwriting';
/** Is there as long as this log follows a master's: marks in its headers are the master's, only the checkpoint counts. */
export const FOLLOWING_NAME = 'following';
/** Names the position that the log is being cut to: found at a start, the cut is finished first. */
export const CUTTING_NAME = 'cutting';
/** Is there while the log is being replaced by files of the master: found at a start, everything is thrown away. */
export const REPLACING_NAME = 'replacing';
/** What consumers have settled with this slave and its master's log does not say yet. */
export const SETTLED_NAME = 'settled.journal';
/** Of files that are being made; left behind by a process that died. */
export const TEMPORARY_SUFFIX = '.tmp';

/** The segment that holds positions number × segmentBytes and above. */
export function segmentName(segment: number): string {
  return `log-${String(segment).padStart(DIGITS, '0')}.seg`;
}

/** The index derived from a sealed segment. */
export function indexName(segment: number): string {
  return `log-${String(segment).padStart(DIGITS, '0')}.idx`;
}

/** Says that a segment was let go: without it, a segment that a snapshot still names and that is not there is damage. */
export function releasedName(segment: number): string {
  return `log-${String(segment).padStart(DIGITS, '0')}.gone`;
}

/** The snapshot of the state that the log gives up to `position`. */
export function snapshotName(position: number): string {
  return `state-${String(position).padStart(16, '0')}.snap`;
}

/** What was cut off behind `position`; `attempt` tells several apart. Never read by a broker. */
export function quarantineName(position: number, attempt: number): string {
  return `cut-${String(position).padStart(16, '0')}-${String(attempt).padStart(4, '0')}.tail`;
}

/** The number in the name of a segment; undefined for another name. */
export function segmentOfName(name: string): number | undefined {
  return numberIn(SEGMENT, name);
}

export function segmentOfIndexName(name: string): number | undefined {
  return numberIn(INDEX, name);
}

export function segmentOfReleasedName(name: string): number | undefined {
  return numberIn(RELEASED, name);
}

export function positionOfSnapshotName(name: string): number | undefined {
  return numberIn(SNAPSHOT, name);
}

function numberIn(pattern: RegExp, name: string): number | undefined {
  const digits = pattern.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
