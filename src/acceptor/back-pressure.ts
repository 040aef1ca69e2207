/**
 * When sockets are read and written. A sender whose shard is crowded is not read until the ring has drained below half; a
 * reader that lets bytes pile up gets no deliveries until they are gone, and is closed when that takes too long. Both ways
 * the other side's TCP feels it, and the broker's memory has a bound.
 */
import type { Clock } from '../base/clock.ts';
import { CONNECTION_BUFFER_BYTES_MAX, CONNECTION_BUFFER_MS_MAX } from '../base/limits.ts';
import type { AcceptorCounters } from './acceptor-counters.ts';
import { CLOSE_TRY_LATER, PAUSE_BUFFER, PAUSE_RING, type Session } from './session.ts';
import type { ShardLink } from './shard-link.ts';

/** Milliseconds after which a full ring is worth trying again. */
export const RING_RETRY_MS = 20;
/** Above this multiple of the budget even answers are too many: the connection is not read either. */
const UNREAD_PART = 1.5;
/** Above this one it is closed at once: its transport cannot stop reading, or it made one answer too large. */
const CLOSE_PART = 3;
const RESUME_PART = 0.5;

/** Whose reading stops while a ring is crowded: a session, or a connection of another dialect. */
export interface RingReader {
  readonly isClosed: boolean;
  /** @returns true when reading was going on and stops now */
  pause(reason: number): boolean;
  resume(reason: number): void;
}

/** Stops and starts the deliveries of a session. */
export type DeliveryGate = { hold(session: Session): void; release(session: Session): void };

export class BackPressure {
  private readonly clock: Clock;
  private readonly counters: AcceptorCounters;
  private readonly gate: DeliveryGate;
  /** Sessions that wait for a ring to drain. */
  private readonly waiting = new Map<ShardLink, Set<RingReader>>();
  private readonly overBudget = new Set<Session>();

  constructor(clock: Clock, counters: AcceptorCounters, gate: DeliveryGate) {
    this.clock = clock;
    this.counters = counters;
    this.gate = gate;
  }

  /** A request was handed to the shard: is it time that its sender feels the queue? */
  afterRequest(reader: RingReader, link: ShardLink): void {
    if (link.isCrowded) this.pauseUntilDrained(reader, link);
  }

  /** A request did not fit. One who goes on sending all the same, where reading cannot be stopped, is closed. */
  ringFull(session: Session | undefined, link: ShardLink): void {
    this.counters.ringFull += 1;
    if (session === undefined) return;
    this.pauseUntilDrained(session, link);
    if (session.isFloodingBusy())
      session.connection.close(CLOSE_TRY_LATER, 'the broker is busy; wait before sending again');
  }

  /** The same for a connection whose reading can always be stopped. */
  crowded(reader: RingReader, link: ShardLink): void {
    this.counters.ringFull += 1;
    this.pauseUntilDrained(reader, link);
  }

  /** Looks at what waits for the socket, after something was sent that did not go at once. */
  afterSend(session: Session): void {
    if (session.isClosed) return;
    const waiting = session.connection.bufferedBytes();
    if (waiting <= CONNECTION_BUFFER_BYTES_MAX) return;
    if (session.overBudgetSinceMs === undefined) {
      session.overBudgetSinceMs = this.clock.monotonicMs();
      this.overBudget.add(session);
      this.gate.hold(session);
    }
    if (waiting > CONNECTION_BUFFER_BYTES_MAX * UNREAD_PART && session.pause(PAUSE_BUFFER))
      this.counters.pauses += 1;
    if (waiting > CONNECTION_BUFFER_BYTES_MAX * CLOSE_PART)
      session.connection.close(CLOSE_TRY_LATER, 'too many bytes wait to be read');
  }

  /** The socket took bytes that were waiting. */
  drained(session: Session): void {
    if (session.overBudgetSinceMs === undefined) return;
    const waiting = session.connection.bufferedBytes();
    if (waiting > CONNECTION_BUFFER_BYTES_MAX * RESUME_PART) return;
    session.overBudgetSinceMs = undefined;
    this.overBudget.delete(session);
    session.resume(PAUSE_BUFFER);
    this.gate.release(session);
  }

  forget(session: Session): void {
    this.overBudget.delete(session);
    this.forgetReader(session);
  }

  forgetReader(reader: RingReader): void {
    for (const readers of this.waiting.values()) readers.delete(reader);
  }

  /** Reads again from those whose ring has drained. @returns how many */
  resumeDrained(): number {
    let resumed = 0;
    for (const [link, sessions] of this.waiting) {
      if (!link.hasDrained) continue;
      this.waiting.delete(link);
      for (const session of sessions) {
        if (this.isCrowdedElsewhere(session)) continue;
        session.resume(PAUSE_RING);
        resumed += 1;
      }
    }
    return resumed;
  }

  /** Does anybody wait for a ring to drain? */
  get isWaiting(): boolean {
    return this.waiting.size > 0;
  }

  /** Would `resumeDrained` resume somebody? */
  get canResume(): boolean {
    for (const link of this.waiting.keys()) if (link.hasDrained) return true;
    return false;
  }

  /** Closes connections that have been above their budget for too long. Called about once a second. */
  closeStuck(): void {
    const limitMs = this.clock.monotonicMs() - CONNECTION_BUFFER_MS_MAX;
    for (const session of this.overBudget) {
      // A transport may drain without saying so at the exact moment; the bytes decide.
      this.drained(session);
      if (session.overBudgetSinceMs === undefined || session.overBudgetSinceMs > limitMs) continue;
      session.connection.close(CLOSE_TRY_LATER, 'too many bytes wait to be read');
    }
  }

  /** Connections not read, or not written to, now. */
  get heldCount(): number {
    return this.overBudget.size;
  }

  get pausedCount(): number {
    const readers = new Set<RingReader>();
    for (const waiting of this.waiting.values()) for (const reader of waiting) readers.add(reader);
    return readers.size;
  }

  private pauseUntilDrained(session: RingReader, link: ShardLink): void {
    if (session.isClosed) return;
    const sessions = this.waiting.get(link);
    if (sessions === undefined) this.waiting.set(link, new Set([session]));
    else sessions.add(session);
    if (session.pause(PAUSE_RING)) this.counters.pauses += 1;
  }

  private isCrowdedElsewhere(session: RingReader): boolean {
    for (const sessions of this.waiting.values()) if (sessions.has(session)) return true;
    return false;
  }
}
