/**
 * Extents that are no longer in the tail's memory, read from segment files by the injected reader: a budget of bytes for
 * all connections together, what was read and not handed over yet included, so that catching up never takes the memory of
 * live traffic, and a share of the flood while there is one (cold-share.ts). First come, first served.
 */

import { COLD_READ_BYTES_MAX } from '../base/limits.ts';
import type { AcceptorCounters } from './acceptor-counters.ts';
import type { ColdReader } from './acceptor-options.ts';
import type { ColdShare } from './cold-share.ts';

type Read = {
  readonly shard: number;
  readonly position: number;
  readonly bytes: number;
  readonly isKept: boolean;
  readonly resolve: (stored: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
};

export class ColdReads {
  private readonly reader: ColdReader;
  private readonly counters: AcceptorCounters;
  private readonly share: ColdShare;
  private readonly waiting: Read[] = [];
  private bytesInUse = 0;

  constructor(reader: ColdReader, counters: AcceptorCounters, share: ColdShare) {
    this.reader = reader;
    this.counters = counters;
    this.share = share;
  }

  get waitingCount(): number {
    return this.waiting.length;
  }

  /** Once a duty cycle: begins what the flood has held back, as far as its share goes now. */
  turn(): void {
    this.share.look();
    if (this.waiting.length > 0) this.start();
  }

  /** Does a read wait for nothing but its share of a flood? */
  get isHeldBack(): boolean {
    return this.waiting.length > 0 && !this.share.isOpen;
  }

  /** Bytes being read, or read and kept. */
  get budgetUsed(): number {
    return this.bytesInUse;
  }

  /** Resolves with the stored batch, for use at once. */
  read(shard: number, position: number, bytes: number): Promise<Uint8Array> {
    return this.enqueue(shard, position, bytes, false);
  }

  /** The same for a batch that may have to wait: once it resolves the caller owes a `done(bytes)`. */
  readAhead(shard: number, position: number, bytes: number): Promise<Uint8Array> {
    return this.enqueue(shard, position, bytes, true);
  }

  /** A batch read ahead is not needed any more. */
  done(bytes: number): void {
    this.bytesInUse -= bytes;
    this.start();
  }

  private enqueue(
    shard: number,
    position: number,
    bytes: number,
    isKept: boolean,
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ shard, position, bytes, isKept, resolve, reject });
      this.start();
    });
  }

  private start(): void {
    for (;;) {
      const next = this.waiting[0];
      // One read always goes, however large: a budget below a batch must not stop everything.
      const fits =
        next !== undefined &&
        (this.bytesInUse === 0 || this.bytesInUse + next.bytes <= COLD_READ_BYTES_MAX);
      if (next === undefined || !fits || !this.share.isOpen) return;
      this.waiting.shift();
      this.bytesInUse += next.bytes;
      this.share.take(next.bytes);
      this.counters.coldReads += 1;
      void this.run(next);
    }
  }

  private async run(read: Read): Promise<void> {
    try {
      read.resolve(await this.reader(read.shard, read.position, read.bytes));
      if (!read.isKept) this.done(read.bytes);
    } catch (error) {
      this.counters.coldReadFailures += 1;
      this.done(read.bytes);
      read.reject(error);
    }
  }
}
