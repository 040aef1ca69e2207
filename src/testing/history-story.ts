/**
 * A small clean history in which everything happens once, and the means to plant one fault in it: the checker is tested
 * on what it must find before anything is tested with the checker.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type CheckerOptions, checkHistory } from './history-checker.ts';
import type { DeliverEvent, HistoryEvent } from './history-events.ts';
import { HistoryLog, HistoryRecorder } from './history-recorder.ts';
import type { AnomalyKind, CheckReport, Requirements } from './history-report.ts';
import { SimClock } from './sim-clock.ts';

/** What the clean story contains; a planted fault must not hide behind "unknown". */
export const STORY_RUN: Requirements = {
  acked: 16,
  delivered: 17,
  info: 2,
  recovered: 1,
  effectiveFaults: 1,
};
export const WITH_LOSS: CheckerOptions = {
  requirements: STORY_RUN,
  allowedLoss: { faultKinds: ['power'], windowUs: 1_000_000 },
};

export const TOPIC = 'orders';
export const CRC = 7;

export function recording(): { log: HistoryLog; record: HistoryRecorder } {
  const log = new HistoryLog();
  return { log, record: new HistoryRecorder(new SimClock(), log) };
}

export function delivery(
  id: string,
  q: number,
  off: number,
  consumer: Partial<DeliverEvent> = {},
): Omit<DeliverEvent, 't' | 'f'> {
  return {
    id,
    c: 'c1',
    g: 'g',
    topic: TOPIC,
    q,
    off,
    attempt: 1,
    crc: CRC,
    via: 'push',
    ...consumer,
  };
}

/**
 * The clean story: a0 to a9 by p1 with dedup, alternating between two queues, delivered and acked; b0 to b4 by p2, pulled
 * and committed by group h; a crash with a10 resent, b5 unknown but stored, b6 refused; a redelivery; a drain.
 *
 *     queue 0: a0 a2 a4 a6 a8 b0 b1 b2 b3 b4 a10 b5        queue 1: a1 a3 a5 a7 a9
 */
export function story(): HistoryEvent[] {
  const { log, record } = recording();
  const queueOf: string[][] = [[], []];
  const send = (id: string, q: number, p: string, seq: number): void => {
    record.sendInvoke({ id, p, topic: TOPIC, seq, dedup: p === 'p1', crc: CRC });
    const queue = queueOf[q] as string[];
    queue.push(id);
    const end = log.events.length * 100;
    record.sendOk(id, { q, off: queue.length - 1, node: 'n', shard: 0, end });
    record.watermark({
      node: 'n',
      shard: 0,
      epoch: 1,
      written: end + 50,
      synced: end,
      replicated: end,
      visible: end,
      mode: 'disk',
    });
  };
  record.phase('run');
  record.session('c1', 'g', ['orders/0', 'orders/1']);
  record.session('h1', 'h', ['orders/0']);
  for (let index = 0; index < 10; index += 1) {
    const [q, off] = [index % 2, Math.floor(index / 2)];
    send(`a${index}`, q, 'p1', index);
    record.deliver(delivery(`a${index}`, q, off));
    const slot = { c: 'c1', g: 'g', topic: TOPIC, q, off };
    record.ack('invoke', slot);
    record.ack('ok', slot);
  }
  for (let index = 0; index < 5; index += 1) {
    send(`b${index}`, 0, 'p2', index);
    record.deliver(delivery(`b${index}`, 0, 5 + index, { c: 'h1', g: 'h', via: 'pull' }));
    const slot = { c: 'h1', g: 'h', topic: TOPIC, q: 0, off: 6 + index };
    record.commit('invoke', slot);
    record.commit('ok', slot);
  }
  record.sendInvoke({ id: 'a10', p: 'p1', topic: TOPIC, seq: 10, dedup: true, crc: CRC });
  record.fault('kill', 'n', true);
  record.sendInfo('a10');
  record.fault('kill', 'n', false);
  record.session('c1', 'g', ['orders/0', 'orders/1']);
  record.session('h1', 'h', ['orders/0']);
  record.committedInvoke({ c: 'h1', g: 'h', topic: TOPIC, q: 0 });
  record.committedOk({ c: 'h1', g: 'h', topic: TOPIC, q: 0 }, 10);
  send('a10', 0, 'p1', 10);
  record.sendInvoke({ id: 'b5', p: 'p2', topic: TOPIC, seq: 5, crc: CRC });
  record.sendInfo('b5');
  record.sendInvoke({ id: 'b6', p: 'p2', topic: TOPIC, seq: 6, crc: CRC });
  record.sendFail('b6');
  record.deliver(delivery('b0', 0, 5));
  record.deliver(delivery('b0', 0, 5, { attempt: 2 }));
  record.ack('invoke', { c: 'c1', g: 'g', topic: TOPIC, q: 0, off: 5 });
  record.ack('ok', { c: 'c1', g: 'g', topic: TOPIC, q: 0, off: 5 });
  record.phase('heal');
  (queueOf[0] as string[]).push('b5');
  record.phase('drain', 'd');
  record.session('d1', 'd', ['orders/0', 'orders/1']);
  for (const [q, ids] of queueOf.entries()) {
    for (const [off, id] of ids.entries())
      record.deliver(delivery(id, q, off, { c: 'd1', g: 'd', via: 'pull' }));
  }
  record.phase('end');
  return log.events;
}

export type Change = (story: Plot) => void;

/** The story as something to be tampered with; times are given anew afterwards, in the order of the events. */
export class Plot {
  events: HistoryEvent[] = story();

  /** Index of the only (or first) event that has all these fields. */
  find(fields: Readonly<Record<string, unknown>>): number {
    const index = this.events.findIndex((event) =>
      Object.entries(fields).every(
        ([name, value]) => (event as Record<string, unknown>)[name] === value,
      ),
    );
    assert.notEqual(index, -1, JSON.stringify(fields));
    return index;
  }

  edit(fields: Readonly<Record<string, unknown>>, change: Readonly<Record<string, unknown>>): void {
    const index = this.find(fields);
    this.events[index] = { ...this.events[index], ...change } as HistoryEvent;
  }

  remove(fields: Readonly<Record<string, unknown>>): HistoryEvent {
    return this.events.splice(this.find(fields), 1)[0] as HistoryEvent;
  }

  /** Removes all that match; at least one does. */
  removeAll(fields: Readonly<Record<string, unknown>>): void {
    const before = this.events.length;
    this.events = this.events.filter((event) =>
      Object.entries(fields).some(
        ([name, value]) => (event as Record<string, unknown>)[name] !== value,
      ),
    );
    assert.ok(this.events.length < before, JSON.stringify(fields));
  }

  swap(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): void {
    const [first, second] = [this.find(a), this.find(b)];
    const event = this.events[first] as HistoryEvent;
    this.events[first] = this.events[second] as HistoryEvent;
    this.events[second] = event;
  }

  /** Plays more events before the one that has these fields. */
  before(fields: Readonly<Record<string, unknown>>, play: (record: HistoryRecorder) => void): void {
    const { log, record } = recording();
    play(record);
    this.events.splice(this.find(fields), 0, ...log.events);
  }

  retimed(): HistoryEvent[] {
    return this.events.map((event, index) => ({ ...event, t: index + 1 }));
  }
}

export const HEAL = { f: 'phase', name: 'heal' };
export const END = { f: 'phase', name: 'end' };
export const DRAINED = { f: 'deliver', g: 'd' };

export function judge(
  change: Change,
  options: CheckerOptions = { requirements: STORY_RUN },
): CheckReport {
  const plot = new Plot();
  change(plot);
  return checkHistory(plot.retimed(), options);
}

/** A fault, the name under which the checker must find it, and how to plant it. */
export type Planted = readonly [
  name: string,
  kind: AnomalyKind,
  change: Change,
  options?: CheckerOptions,
];

/** Registers a test for each fault: found under its own name and under no other. */
export function testPlanted(planted: readonly Planted[], kinds: readonly AnomalyKind[]): void {
  describe('planted faults', () => {
    for (const [name, kind, change, options] of planted) {
      test(`${kind}: ${name}`, () => {
        const report = judge(change, options);
        assert.equal(report.verdict, 'invalid', JSON.stringify(report));
        const found = Object.keys(report.anomalyCounts);
        assert.deepEqual(found, [kind], JSON.stringify(report.anomalies));
        assert.ok(report.anomalies.every(({ text, t }) => text.length > 10 && t > 0));
      });
    }

    test('are of every kind that is judged here', () => {
      assert.deepEqual(new Set(planted.map(([, kind]) => kind)), new Set(kinds));
    });
  });
}
