/** What enough slaves have: pure. */

/**
 * The position that `count` slaves have confirmed: the smallest of the `count` highest.
 *
 * @param acked - one of each slave
 * @returns 0 when there are not so many slaves; Infinity when none is needed
 */
export function replicatedPosition(acked: readonly number[], count: number): number {
  if (count === 0) return Number.POSITIVE_INFINITY;
  if (acked.length < count) return 0;
  return [...acked].sort((left, right) => right - left)[count - 1] as number;
}
