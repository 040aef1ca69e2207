/**
 * What the threads of one shard share about its log: the positions and the word that says why it stopped. One writer
 * per word (docs/THREADS.md).
 */

import { ERROR_CODES, type ErrorCode, errorCodeOf } from '../base/error-codes.ts';
import { CELL_BYTES, PositionCell } from '../memory/position-cell.ts';

/** Bytes of shared memory for one LogMemory. */
export const LOG_MEMORY_BYTES: number = 13 * CELL_BYTES;

/** The mean of syncs moves by one part of so many with each. */
const SYNC_SAMPLES = 8;
/** Microseconds that one sync counts at most, so that a single slow one is soon outweighed. */
const SYNC_SAMPLE_MICROS_MAX = 2000;

/** The gate of a replicated shard before the replication thread has said anything: nothing is appended. */
export const GATE_UNDECIDED = 0;
/** Sends are taken. Other values than these two are the number of the error code that refuses them. */
export const GATE_OPEN = -1;
/** The shard may write its own records, but no sends are taken: too few slaves are near. */
export const GATE_NO_SLAVE: number = ERROR_CODES.SLAVE_NOT_AVAILABLE.number;
/** Another broker reigns: nothing is ever appended again in this life. */
export const GATE_FENCED: number = ERROR_CODES.NOT_MASTER.number;

/** On a slave: it has no master, and serves its groups. Without it GATE_UNDECIDED: it follows, or does not know yet. */
export const GATE_ALONE = -2;

export class LogMemory {
  /** Written by the shard: batches below are complete in the tail window. */
  readonly appended: PositionCell;
  /** Written by whoever has the turn of writing: bytes below are with the operating system. */
  readonly written: PositionCell;
  /** Written by whoever has the turn of writing: bytes below are on the disk. */
  readonly flushed: PositionCell;
  /** Written by the shard: acks may go out, and consumers see, up to here. */
  readonly commit: PositionCell;
  /** Written by replication: on a master what enough slaves have confirmed, on a slave the master's commit position. */
  readonly replicated: PositionCell;
  /** Written by the shard, before it overwrites them: bytes below are no longer in the tail window. */
  readonly hotStart: PositionCell;
  private readonly gateWord: Int32Array;
  private readonly leads: Int32Array;
  private readonly fault: Int32Array;
  private readonly opened: Int32Array;
  private readonly stop: Int32Array;
  private readonly writing: Int32Array;
  private readonly sync: Int32Array;

  constructor(memory: SharedArrayBuffer, byteOffset: number) {
    this.appended = new PositionCell(memory, byteOffset);
    this.written = new PositionCell(memory, byteOffset + CELL_BYTES);
    this.flushed = new PositionCell(memory, byteOffset + 2 * CELL_BYTES);
    this.commit = new PositionCell(memory, byteOffset + 3 * CELL_BYTES);
    this.fault = new Int32Array(memory, byteOffset + 4 * CELL_BYTES, 1);
    this.opened = new Int32Array(memory, byteOffset + 5 * CELL_BYTES, 1);
    this.stop = new Int32Array(memory, byteOffset + 6 * CELL_BYTES, 1);
    this.replicated = new PositionCell(memory, byteOffset + 7 * CELL_BYTES);
    this.hotStart = new PositionCell(memory, byteOffset + 8 * CELL_BYTES);
    this.gateWord = new Int32Array(memory, byteOffset + 9 * CELL_BYTES, 1);
    this.leads = new Int32Array(memory, byteOffset + 10 * CELL_BYTES, 1);
    this.writing = new Int32Array(memory, byteOffset + 11 * CELL_BYTES, 1);
    this.sync = new Int32Array(memory, byteOffset + 12 * CELL_BYTES, 1);
  }

  /** Flusher or shard: takes the turn of writing to segment files. @returns false when the other has it, or the disk has refused */
  claimWriting(): boolean {
    if (Atomics.compareExchange(this.writing, 0, 0, 1) !== 0) return false;
    // What the other could not sync may be gone although the next sync succeeds: nobody goes on behind it.
    if (Atomics.load(this.fault, 0) === 0) return true;
    this.releaseWriting();
    return false;
  }

  /** Whoever has the turn: gives it back. */
  releaseWriting(): void {
    Atomics.store(this.writing, 0, 0);
  }

  /** Has one of the two the turn? */
  get isWriting(): boolean {
    return Atomics.load(this.writing, 0) !== 0;
  }

  /** Whoever has the turn: a sync has taken this long. */
  noteSync(micros: number): void {
    const sample = Math.min(Math.max(1, Math.round(micros)), SYNC_SAMPLE_MICROS_MAX);
    const mean = Atomics.load(this.sync, 0);
    const next = mean === 0 ? sample : mean + Math.round((sample - mean) / SYNC_SAMPLES);
    Atomics.store(this.sync, 0, next);
  }

  /** Microseconds that the last few syncs took on average; 0 before the first. */
  syncMicros(): number {
    return Atomics.load(this.sync, 0);
  }

  /** Whoever had the turn when the disk refused: nothing is written any more. */
  reportFault(code: ErrorCode): void {
    Atomics.store(this.fault, 0, ERROR_CODES[code].number);
  }

  /** Why nothing is written any more; undefined while all is well. */
  faultCode(): ErrorCode | undefined {
    const number = Atomics.load(this.fault, 0);
    return number === 0 ? undefined : errorCodeOf(number);
  }

  /** Replication only: may a replicated master take sends, is a slave alone? One of the GATE_ values. */
  setGate(gate: number): void {
    Atomics.store(this.gateWord, 0, gate);
  }

  /** What replication has decided last. */
  gate(): number {
    return Atomics.load(this.gateWord, 0);
  }

  /** Shard only: it writes records of its own from now on. */
  markLeading(): void {
    Atomics.store(this.leads, 0, 1);
  }

  /** Has the shard written records of its own in this life? One that only followed does not know what it may be missing. */
  get isLeading(): boolean {
    return Atomics.load(this.leads, 0) === 1;
  }

  /** Shard only: recovery is over and the positions stand. */
  markOpened(): void {
    Atomics.store(this.opened, 0, 1);
    Atomics.notify(this.opened, 0);
  }

  /** Flusher only: blocks until the shard has recovered, or the threads are told to stop. */
  waitUntilOpened(): void {
    while (Atomics.load(this.opened, 0) === 0 && !this.isStopping)
      Atomics.wait(this.opened, 0, 0, 100);
  }

  /** Broker only: both threads end after their duty cycle. */
  requestStop(): void {
    Atomics.store(this.stop, 0, 1);
  }

  get isStopping(): boolean {
    return Atomics.load(this.stop, 0) === 1;
  }
}
