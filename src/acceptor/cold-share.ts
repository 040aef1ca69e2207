/**
 * How much may be read from files while a flood of sends comes in: a share of what comes, so that the flood is taken first
 * and the backlog is delivered after it. Below the rate of a flood there is room for both, and no limit.
 */
import type { Clock } from '../base/clock.ts';
import { MIB } from '../base/units.ts';

/** Bytes a millisecond: 64 MB a second, some 400,000 messages of 128 bytes. */
const FLOOD_BYTES_PER_MS = 64_000;
/** Of a flood's bytes: sends keep three quarters of what they had without the reading. */
const SHARE = 0.25;
/** Read at once after a pause in reading. */
const ALLOWANCE_BYTES_MAX: number = 8 * MIB;
/** Milliseconds between two looks, and how much of the rate one look changes. */
const LOOK_INTERVAL_MS = 10;
const LOOK_WEIGHT = 0.2;

export class ColdShare {
  private readonly clock: Clock;
  private readonly bytesIn: () => number;
  private lookedAtMs: number;
  private lookedBytes: number;
  private bytesPerMs = 0;
  private allowance = 0;

  /** @param bytesIn - bytes of all frames so far */
  constructor(clock: Clock, bytesIn: () => number) {
    this.clock = clock;
    this.bytesIn = bytesIn;
    this.lookedAtMs = clock.monotonicMs();
    this.lookedBytes = bytesIn();
  }

  /** Takes in what has come since the last look. Called in every duty cycle. */
  look(): void {
    const nowMs = this.clock.monotonicMs();
    const elapsedMs = nowMs - this.lookedAtMs;
    if (elapsedMs < LOOK_INTERVAL_MS) return;
    const bytes = this.bytesIn() - this.lookedBytes;
    this.lookedAtMs = nowMs;
    this.lookedBytes += bytes;
    // A long time without a look counts as much as several.
    const weight = 1 - (1 - LOOK_WEIGHT) ** (elapsedMs / LOOK_INTERVAL_MS);
    this.bytesPerMs += (bytes / elapsedMs - this.bytesPerMs) * weight;
    this.allowance = Math.min(ALLOWANCE_BYTES_MAX, this.allowance + bytes * SHARE);
  }

  /** May a read begin now? */
  get isOpen(): boolean {
    return this.allowance > 0 || this.bytesPerMs < FLOOD_BYTES_PER_MS;
  }

  /** A read has begun. */
  take(bytes: number): void {
    this.allowance = Math.max(-ALLOWANCE_BYTES_MAX, this.allowance - bytes);
  }
}
