/**
 * What a master answers to a log that wants to follow it: one verdict, from both histories and ends (decision 8, its table).
 * Pure: who the other is was proved before.
 */
import { type EpochStart, lastEpoch, partingOf } from './epoch-history.ts';
import type { LogState } from './transfer-codec.ts';

export type Verdict =
  | { readonly kind: 'stream'; readonly position: number }
  | { readonly kind: 'cut'; readonly position: number }
  /** The other has more of the same epoch: it is fetched, never cut. */
  | { readonly kind: 'fetch'; readonly position: number }
  | { readonly kind: 'replace' }
  | { readonly kind: 'refused'; readonly text: string }
  | { readonly kind: 'fenced'; readonly epoch: number };

/** A master's own log. */
export type MasterLog = {
  readonly shard: number;
  readonly shards: number;
  readonly segmentBytes: number;
  readonly chunkBytes: number;
  readonly logId: string;
  readonly epochs: readonly EpochStart[];
  /** The epoch of its reign: its log need not name it yet. */
  readonly epoch: number;
  readonly end: number;
  /** First position that is kept. */
  readonly start: number;
  /** Has it appended nothing of its own in this life? Only then can it take what others have more. */
  readonly isFollowing: boolean;
  /** Checksum in the batch header at a position, and where that batch ends; undefined when none can be read there. */
  readonly headerAt: (
    position: number,
  ) => { readonly crc: number; readonly end: number } | undefined;
};

/** @param slave - as it came: every number is within its field, nothing else is sure */
export function decide(master: MasterLog, slave: LogState): Verdict {
  const mismatch = shapeMismatch(master, slave);
  if (mismatch !== undefined) return { kind: 'refused', text: mismatch };
  if (lastEpoch(slave.epochs) > master.epoch)
    return { kind: 'fenced', epoch: lastEpoch(slave.epochs) };
  if (slave.end === 0)
    return master.start > 0 ? { kind: 'replace' } : { kind: 'stream', position: 0 };
  if (slave.logId !== master.logId && slave.logId !== '') {
    const text =
      master.logId === ''
        ? `this master's log is empty and yours has ${slave.end} bytes: if its disk was lost, promote a slave`
        : `your log is ${slave.logId}, this master's is ${master.logId}: they have nothing in common`;
    return { kind: 'refused', text };
  }
  const parting = partingOf(master.epochs, master.end, slave.epochs, slave.end);
  if (parting.kind === 'conflict') {
    const text = `both logs name epoch ${parting.epoch}, with different beginnings: two masters wrote under it`;
    return { kind: 'refused', text };
  }
  if (parting.kind === 'parted') {
    if (lastEpoch(slave.epochs) < master.epoch || lastEpoch(master.epochs) === master.epoch)
      return { kind: 'cut', position: parting.position };
    const text = `your log names epoch ${master.epoch}, under which this master has written nothing: another has`;
    return { kind: 'refused', text };
  }
  return slave.end > master.end ? longerSlave(master, slave) : prefixSlave(master, slave);
}

function longerSlave(master: MasterLog, slave: LogState): Verdict {
  if (master.isFollowing) return { kind: 'fetch', position: master.end };
  const text = `your log ends at ${slave.end}, this master's at ${master.end} in the same epoch, and it has taken writes: a person must decide`;
  return { kind: 'refused', text };
}

function prefixSlave(master: MasterLog, slave: LogState): Verdict {
  if (slave.end < master.start) return { kind: 'replace' };
  if (slave.lastHeaderAt >= 0) {
    // It ends exactly where the master's begins: there is no batch left to compare with.
    if (slave.lastHeaderAt < master.start) return { kind: 'replace' };
    const header = master.headerAt(slave.lastHeaderAt);
    if (header === undefined || header.crc !== slave.lastCrc || header.end > slave.end) {
      const text = `the logs differ at position ${slave.lastHeaderAt} in the same epoch: a person must decide`;
      return { kind: 'refused', text };
    }
  }
  return { kind: 'stream', position: slave.end };
}

function shapeMismatch(master: MasterLog, slave: LogState): string | undefined {
  for (const field of ['shard', 'shards', 'segmentBytes', 'chunkBytes'] as const) {
    if (master[field] !== slave[field])
      return `${field} is ${slave[field]} at the slave and ${master[field]} at the master; they must be the same`;
  }
  return undefined;
}
