/**
 * Writes a history: gives every event its time and hands it on. One recorder per run, so that the times of all clients
 * compare. No Node built-ins.
 */
import type { Clock } from '../base/clock.ts';
import type * as events from './history-events.ts';
import { formatHistory, type HistoryEvent } from './history-events.ts';

type WithoutHead<Event> = Omit<Event, 't' | 'f' | 'type'>;
type Delivered = WithoutHead<events.DeliverEvent>;
/** A slot and who is in question. */
type ConsumerSlot = WithoutHead<events.AckEvent>;
type Asked = Omit<ConsumerSlot, 'off'>;

/** Where events go; a `HistoryChecker` is one. */
export type HistorySink = { add(event: HistoryEvent): void };

/** Keeps every event in memory, in order. */
export class HistoryLog implements HistorySink {
  readonly events: HistoryEvent[] = [];

  add(event: HistoryEvent): void {
    this.events.push(event);
  }

  /** The history as NDJSON. */
  toText(): string {
    return formatHistory(this.events);
  }
}

/** Typed methods for everything that can be recorded; each takes the facts and adds the time. */
export class HistoryRecorder {
  private readonly clock: Clock;
  private readonly sink: HistorySink;
  private last: number;

  constructor(clock: Clock, sink: HistorySink) {
    this.clock = clock;
    this.sink = sink;
    this.last = 0;
  }

  /** Before the bytes leave, and before each retry. */
  sendInvoke(message: WithoutHead<events.SendInvokeEvent>): void {
    this.sink.add({ t: this.time(), f: 'send', type: 'invoke', ...message });
  }

  /** SEND_OK was received. @param receipt - queue and offset when known, position in the log when known */
  sendOk(id: string, receipt: Omit<WithoutHead<events.SendOkEvent>, 'id'>): void {
    this.sink.add({ t: this.time(), f: 'send', type: 'ok', id, ...receipt });
  }

  /** A timeout, a lost connection, or any answer that leaves open whether the message is stored. */
  sendInfo(id: string): void {
    this.sink.add({ t: this.time(), f: 'send', type: 'info', id });
  }

  /** A definite refusal. */
  sendFail(id: string): void {
    this.sink.add({ t: this.time(), f: 'send', type: 'fail', id });
  }

  deliver(delivery: Delivered): void {
    this.sink.add({ t: this.time(), f: 'deliver', ...delivery });
  }

  ack(type: events.AckEvent['type'], slot: ConsumerSlot): void {
    this.sink.add({ t: this.time(), f: 'ack', type, ...slot });
  }

  commit(type: events.CommitEvent['type'], slot: ConsumerSlot): void {
    this.sink.add({ t: this.time(), f: 'commit', type, ...slot });
  }

  /** Before the committed offset is asked for. */
  committedInvoke(asked: Asked): void {
    this.sink.add({ t: this.time(), f: 'committed', type: 'invoke', ...asked });
  }

  /** @param off - the answer; undefined when the group has none */
  committedOk(asked: Asked, off: number | undefined): void {
    const answer = off === undefined ? {} : { off };
    this.sink.add({ t: this.time(), f: 'committed', type: 'ok', ...asked, ...answer });
  }

  /** Before the request is sent. */
  reset(slot: WithoutHead<events.ResetEvent>): void {
    this.sink.add({ t: this.time(), f: 'reset', ...slot });
  }

  /** Before the consumer asks for messages. */
  session(c: string, g: string, assigned: readonly string[]): void {
    this.sink.add({ t: this.time(), f: 'session', c, g, assigned });
  }

  watermark(sample: WithoutHead<events.WatermarkEvent>): void {
    this.sink.add({ t: this.time(), f: 'wm', ...sample });
  }

  fault(kind: string, target: string, start: boolean): void {
    this.sink.add({ t: this.time(), f: 'fault', kind, target, start });
  }

  /** @param g - with `drain`: the fresh group that reads everything from offset 0 */
  phase(name: events.PhaseEvent['name'], g?: string): void {
    this.sink.add({ t: this.time(), f: 'phase', name, ...(g === undefined ? {} : { g }) });
  }

  /** Microseconds, one more than the last when the clock stood still. */
  private time(): number {
    this.last = Math.max(this.last + 1, Math.floor(this.clock.monotonicMs() * 1000));
    return this.last;
  }
}
