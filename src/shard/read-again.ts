/** How long is waited before what the disk did not give is read again. */

/** Milliseconds until the second attempt; each further one waits twice as long. */
const READ_AGAIN_MS_MIN = 100;
/** Milliseconds, and never longer: a disk that is back is used soon. */
export const READ_AGAIN_MS_MAX = 5000;
/** Doublings after which it is certainly the longest. */
const DOUBLINGS_MAX = 16;

/** @param failures - in a row, at least 1 @returns milliseconds from the last of them */
export function readAgainMs(failures: number): number {
  const doublings = Math.min(failures - 1, DOUBLINGS_MAX);
  return Math.min(READ_AGAIN_MS_MAX, READ_AGAIN_MS_MIN * 2 ** doublings);
}
