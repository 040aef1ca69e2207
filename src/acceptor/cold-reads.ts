/**
 * Extents that are no longer in the tail's memory, read from segment files by the injected reader: a budget of bytes for
 * all connections together, so that catching up never takes the memory of live traffic. First come, first served.
 */

import { COLD_READ_BYTES_MAX } from '../base/limits.ts';
import type { AcceptorCounters } from './acceptor-counters.ts';
import type { ColdReader } from './acceptor-options.ts';

type Read = {
  readonly shard: number;
  readonly position: number;
  readonly bytes: number;
  readonly resolve: (stored: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
};

export class ColdReads {
  private readonly reader: ColdReader;
  private readonly counters: AcceptorCounters;
  private readonly waiting: Read[] = [];
  private bytesReading = 0;

  constructor(reader: ColdReader, counters: AcceptorCounters) {
    this.reader = reader;
    this.counters = counters;
  }

  get waitingCount(): number {
    return this.waiting.length;
  }

  /** Resolves with the stored batch, owned by the caller; the budget is given back when it resolves. */
  read(shard: number, position: number, bytes: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ shard, position, bytes, resolve, reject });
      this.start();
    });
  }

  private start(): void {
    for (;;) {
      const next = this.waiting[0];
      // One read always goes, however large: a budget below a batch must not stop everything.
      const fits =
        next !== undefined &&
        (this.bytesReading === 0 || this.bytesReading + next.bytes <= COLD_READ_BYTES_MAX);
      if (next === undefined || !fits) return;
      this.waiting.shift();
      this.bytesReading += next.bytes;
      this.counters.coldReads += 1;
      void this.run(next);
    }
  }

  private async run(read: Read): Promise<void> {
    try {
      read.resolve(await this.reader(read.shard, read.position, read.bytes));
    } catch (error) {
      this.counters.coldReadFailures += 1;
      read.reject(error);
    }
    this.bytesReading -= read.bytes;
    this.start();
  }
}
