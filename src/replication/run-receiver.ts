/**
 * Takes DATA frames: epoch, session, place and every checksum are checked before a byte of them goes to the shard. What is
 * wrong ends the connection; what finds no room waits where it is.
 */
import { getU64 } from '../base/bytes.ts';
import { isStoredHeader, isStoredPayload } from '../log/stored-header.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import type { ShardDoor } from './shard-door.ts';
import type { Frame } from './transfer-codec.ts';
import * as transfer from './transfer-layout.ts';

export type ReceiveResult = 'taken' | 'later' | 'wrong';

export class RunReceiver {
  /** Everything below was handed to the shard. */
  passed: number;
  /** The sender's commit position as it was last told; -1: not yet. */
  commit = -1;
  private readonly door: ShardDoor;
  private readonly chunkBytes: number;
  private readonly epoch: number;
  private readonly session: number;
  private lastEpoch: number;

  constructor(options: {
    readonly door: ShardDoor;
    readonly chunkBytes: number;
    readonly epoch: number;
    readonly session: number;
    readonly position: number;
    /** Newest epoch in the log so far. */
    readonly lastEpoch: number;
  }) {
    this.door = options.door;
    this.chunkBytes = options.chunkBytes;
    this.epoch = options.epoch;
    this.session = options.session;
    this.passed = options.position;
    this.lastEpoch = options.lastEpoch;
  }

  /** @param frame - a DATA frame */
  take({ bytes, view, at, length }: Frame): ReceiveResult {
    if (view.getUint32(at + transfer.DATA_EPOCH, true) !== this.epoch) return 'wrong';
    if (view.getUint32(at + transfer.DATA_SESSION, true) !== this.session) return 'wrong';
    if (getU64(view, at + transfer.DATA_POSITION) !== this.passed) return 'wrong';
    const commit = getU64(view, at + transfer.DATA_COMMIT);
    if (commit < 0) return 'wrong';
    const run = length - transfer.DATA_RUN;
    if (run > 0) {
      const newest = this.checkRun(bytes, view, at + transfer.DATA_RUN, run);
      if (newest < 0) return 'wrong';
      if (!this.door.replicate(this.passed, bytes, at + transfer.DATA_RUN, run)) return 'later';
      this.lastEpoch = newest;
      this.passed += run;
    }
    this.commit = Math.max(this.commit, commit);
    return 'taken';
  }

  /** @returns the newest epoch in a run that is whole and right; -1 for any other */
  private checkRun(bytes: Uint8Array, view: DataView, start: number, run: number): number {
    const chunkLeft = this.chunkBytes - (this.passed % this.chunkBytes);
    if (run > chunkLeft || run % 8 !== 0) return -1;
    let newest = this.lastEpoch;
    let at = 0;
    while (at < run) {
      // The rest of a chunk, in which no header has room, comes whole.
      if (chunkLeft - at < layout.STORED_HEADER_BYTES) return run === chunkLeft ? newest : -1;
      const bytesLeft = Math.min(run - at, chunkLeft - at);
      if (!isStoredHeader(bytes, view, start + at, this.passed + at, bytesLeft)) return -1;
      if (!isStoredPayload(bytes, view, start + at)) return -1;
      const epoch = view.getUint32(start + at + layout.STORED_EPOCH, true);
      // Nobody writes under an epoch that is over, and none under one that has not begun.
      if (epoch < newest || epoch > this.epoch) return -1;
      newest = epoch;
      at += view.getUint32(start + at + layout.STORED_BYTES, true);
    }
    return newest;
  }
}
