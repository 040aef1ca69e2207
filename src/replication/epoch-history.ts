/** The reigns of a log, and where two logs part. Pure. */

/** Where the batches of a reign begin: position of its first header. */
export type EpochStart = { readonly epoch: number; readonly first: number };

/** The newest epoch that a log names; 0 in an empty one. */
export function lastEpoch(epochs: readonly EpochStart[]): number {
  return epochs.at(-1)?.epoch ?? 0;
}

/** `same`: one log is a prefix of the other. `conflict`: two brokers wrote under one epoch. */
export type Parting =
  | { readonly kind: 'same' }
  | { readonly kind: 'parted'; readonly position: number }
  | { readonly kind: 'conflict'; readonly epoch: number };

/**
 * Compares the histories of a master and of a log that may follow it. Within one epoch one broker wrote, so two logs agree as
 * far as both have bytes of the epochs that both name.
 *
 * @param end - of the other log
 */
export function partingOf(
  master: readonly EpochStart[],
  masterEnd: number,
  other: readonly EpochStart[],
  end: number,
): Parting {
  let index = 0;
  while (index < master.length && index < other.length) {
    const left = master[index] as EpochStart;
    const right = other[index] as EpochStart;
    if (left.epoch !== right.epoch) break;
    if (left.first !== right.first) return { kind: 'conflict', epoch: left.epoch };
    index += 1;
  }
  // Behind the epochs that both name each goes its own way, if it goes on at all.
  const masterTurn = master[index]?.first ?? masterEnd;
  const otherTurn = other[index]?.first ?? end;
  const common = Math.min(masterTurn, otherTurn);
  if (end <= common) return { kind: 'same' };
  // All that the master has is the beginning of the other log, which only has more.
  if (index === master.length && otherTurn >= masterEnd) return { kind: 'same' };
  return { kind: 'parted', position: common };
}
