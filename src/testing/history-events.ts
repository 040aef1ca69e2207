/**
 * What clients, consumers and the harness saw during a run, one event per line. Written by the harness only, never by
 * the broker: the checker judges the broker by what others observed. No Node built-ins: browsers and `bench` use it.
 *
 * Rules for whoever records: `invoke` before the bytes leave, completions after the answer is parsed; every outcome of a
 * send but SEND_OK and a definite refusal is `info`; a `session` whenever a consumer connects, reconnects or gets other
 * queues, before it asks for messages; after the last fault heal, then `drain` from offset 0 with a group of its own.
 */
import { SluiceError } from '../base/errors.ts';

/** Microseconds since the run began. Strictly increasing: one recorder assigns it, no two events share one. */
type Timed = { readonly t: number };
/** A slot: one place of one queue. */
type Slot = { readonly topic: string; readonly q: number; readonly off: number };

/** A message is about to be sent, or sent again under the same id. */
export type SendInvokeEvent = Timed & {
  readonly f: 'send';
  readonly type: 'invoke';
  readonly id: string;
  /** Producer. */
  readonly p: string;
  readonly topic: string;
  /** Order of calls within producer and epoch. */
  readonly seq?: number;
  readonly epoch?: number;
  /** The broker promises to store it once, and a producer's messages in the order of `seq`. */
  readonly dedup?: boolean;
  /** Checksum of the body. */
  readonly crc?: number;
};
export type SendOkEvent = Timed & {
  readonly f: 'send';
  readonly type: 'ok';
  readonly id: string;
  /** Queue and offset, when the receipt names them: both or neither. */
  readonly q?: number;
  readonly off?: number;
  /** Who acknowledged, and the end of the batch in its log: all three or none. Checked against watermarks. */
  readonly node?: string;
  readonly shard?: number;
  readonly end?: number;
};
/** `info`: the outcome is unknown. `fail`: certainly not stored. */
export type SendEndEvent = Timed & {
  readonly f: 'send';
  readonly type: 'info' | 'fail';
  readonly id: string;
};
export type SendEvent = SendInvokeEvent | SendOkEvent | SendEndEvent;
export type DeliverEvent = Timed &
  Slot & {
    readonly f: 'deliver';
    readonly id: string;
    /** Consumer and group. */
    readonly c: string;
    readonly g: string;
    /** 1 for the first delivery. */
    readonly attempt: number;
    readonly crc?: number;
    readonly via: 'pull' | 'pop' | 'push';
  };
/** `ok`: the broker says that the group never gets this message again. */
export type AckEvent = Timed &
  Slot & {
    readonly f: 'ack';
    readonly type: 'invoke' | 'ok' | 'info';
    readonly c: string;
    readonly g: string;
  };
/** The group has everything below `off`. */
export type CommitEvent = Timed &
  Slot & {
    readonly f: 'commit';
    readonly type: 'invoke' | 'ok' | 'info';
    readonly c: string;
    readonly g: string;
  };
/** Somebody asks for the committed offset; `off` is the answer, in `ok` only. */
export type CommittedEvent = Timed & {
  readonly f: 'committed';
  readonly type: 'invoke' | 'ok';
  readonly c: string;
  readonly g: string;
  readonly topic: string;
  readonly q: number;
  readonly off?: number;
};
/** Somebody is about to set the group's offset, back or forward: what was final is not any more. */
export type ResetEvent = Timed & Slot & { readonly f: 'reset'; readonly g: string };
export type SessionEvent = Timed & {
  readonly f: 'session';
  readonly c: string;
  readonly g: string;
  /** Queues, each as `topic/queue`. */
  readonly assigned: readonly string[];
};
/** What an ack means: which positions must have passed a message before it. */
export type AckMode = 'memory' | 'disk' | 'replicated' | 'disk-replicated';
/**
 * Positions of one shard. Sampled and recorded in one step, as a simulation can; who reads them over a network leaves
 * `end` out of receipts, because an ack may arrive between the sample and its record.
 */
export type WatermarkEvent = Timed & {
  readonly f: 'wm';
  readonly node: string;
  readonly shard: number;
  readonly epoch: number;
  readonly written: number;
  readonly synced: number;
  readonly replicated: number;
  readonly visible: number;
  readonly mode: AckMode;
};
export type FaultEvent = Timed & {
  readonly f: 'fault';
  readonly kind: string;
  readonly target: string;
  readonly start: boolean;
};
export type PhaseEvent = Timed & {
  readonly f: 'phase';
  readonly name: 'run' | 'heal' | 'drain' | 'end';
  /** With `drain`: the group that reads every queue from offset 0. Then every message must be there once more. */
  readonly g?: string;
};

export type HistoryEvent =
  | SendEvent
  | DeliverEvent
  | AckEvent
  | CommitEvent
  | CommittedEvent
  | ResetEvent
  | SessionEvent
  | WatermarkEvent
  | FaultEvent
  | PhaseEvent;

type FieldRule = (value: unknown) => boolean;
const text: FieldRule = (value) => typeof value === 'string' && value !== '';
const count: FieldRule = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const positive: FieldRule = (value) => count(value) && value !== 0;
const flag: FieldRule = (value) => typeof value === 'boolean';
const texts: FieldRule = (value) => Array.isArray(value) && value.every(text);
const maybe =
  (rule: FieldRule): FieldRule =>
  (value) =>
    value === undefined || rule(value);
const oneOf =
  (...values: readonly string[]): FieldRule =>
  (value) =>
    values.includes(value as string);

const slot = { topic: text, q: count, off: count };
const outcome = oneOf('invoke', 'ok', 'info');
const RULES: Readonly<Record<string, Readonly<Record<string, FieldRule>>>> = {
  'send invoke': {
    ...{ id: text, p: text, topic: text, seq: maybe(count), epoch: maybe(count) },
    ...{ dedup: maybe(flag), crc: maybe(count) },
  },
  'send ok': {
    ...{ id: text, q: maybe(count), off: maybe(count) },
    ...{ node: maybe(text), shard: maybe(count), end: maybe(count) },
  },
  'send info': { id: text },
  'send fail': { id: text },
  deliver: {
    ...slot,
    ...{ id: text, c: text, g: text, attempt: positive, crc: maybe(count) },
    via: oneOf('pull', 'pop', 'push'),
  },
  ack: { ...slot, type: outcome, c: text, g: text },
  commit: { ...slot, type: outcome, c: text, g: text },
  committed: {
    ...{ type: oneOf('invoke', 'ok'), c: text, g: text },
    ...{ topic: text, q: count, off: maybe(count) },
  },
  reset: { ...slot, g: text },
  session: { c: text, g: text, assigned: texts },
  wm: {
    ...{ node: text, shard: count, epoch: count, written: count, synced: count },
    ...{ replicated: count, visible: count },
    mode: oneOf('memory', 'disk', 'replicated', 'disk-replicated'),
  },
  fault: { kind: text, target: text, start: flag },
  phase: { name: oneOf('run', 'heal', 'drain', 'end'), g: maybe(text) },
};

/** What is wrong with a value that should be an event; undefined when nothing is. Unknown fields are ignored. */
export function historyEventFault(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'not an object';
  const fields = value as Readonly<Record<string, unknown>>;
  const { f, type, t } = fields;
  const name = f === 'send' ? `send ${String(type)}` : String(f);
  const rules = Object.hasOwn(RULES, name) ? RULES[name] : undefined;
  if (rules === undefined) return `the event ${JSON.stringify(name)} is not known`;
  if (typeof t !== 'number' || !(t >= 0)) return 'the field t is not a time';
  for (const [field, rule] of Object.entries(rules)) {
    if (!rule(fields[field]))
      return `the field ${field} of ${name} is ${JSON.stringify(fields[field])}`;
  }
  return undefined;
}

/** One JSON object per line, with a line feed after each. */
export function formatHistory(events: Iterable<HistoryEvent>): string {
  let lines = '';
  for (const event of events) lines += `${JSON.stringify(event)}\n`;
  return lines;
}

/**
 * The reverse of `formatHistory`; empty lines are skipped.
 * @throws INVALID_ARGUMENT naming the line: half a history proves nothing
 */
export function parseHistory(lines: string): HistoryEvent[] {
  const events: HistoryEvent[] = [];
  for (const [index, line] of lines.split('\n').entries()) {
    if (line === '') continue;
    let value: unknown;
    let fault: string | undefined;
    try {
      value = JSON.parse(line);
      fault = historyEventFault(value);
    } catch {
      fault = 'not JSON';
    }
    if (fault !== undefined)
      throw new SluiceError('INVALID_ARGUMENT', `history, line ${index + 1}: ${fault}`);
    events.push(value as HistoryEvent);
  }
  return events;
}
