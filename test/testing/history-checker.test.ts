/**
 * Histories without a fault: clean ones pass, and those that prove nothing do not. Planted faults are in
 * history-messages, history-groups and history-watermarks.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type CheckerOptions,
  checkHistory,
  HistoryChecker,
} from '../../src/testing/history-checker.ts';
import type { HistoryEvent } from '../../src/testing/history-events.ts';
import { HistoryRecorder } from '../../src/testing/history-recorder.ts';
import { ANOMALIES_KEPT, QUIET_RUN } from '../../src/testing/history-report.ts';
import {
  type Change,
  CRC,
  DRAINED,
  delivery,
  END,
  HEAL,
  judge,
  recording,
  STORY_RUN,
  story,
  TOPIC,
  WITH_LOSS,
} from '../../src/testing/history-story.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';

const CLEAN: readonly (readonly [name: string, change: Change, options?: CheckerOptions])[] = [
  ['the story as it is', () => undefined],
  [
    'without a group that drains, any delivery counts',
    (plot) => {
      plot.edit({ f: 'phase', name: 'drain' }, { g: undefined });
      plot.removeAll({ ...DRAINED, id: 'a4' });
    },
  ],
  [
    'an earlier attempt arrives late, on a connection older than the ack',
    (plot) => {
      plot.before({ f: 'deliver', id: 'b0', g: 'g', attempt: 1 }, (record) =>
        record.session('c2', 'g', ['orders/0']),
      );
      plot.before(HEAL, (record) => record.deliver(delivery('b0', 0, 5, { c: 'c2', attempt: 1 })));
    },
  ],
  [
    'unacked messages come again, out of order',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.deliver(delivery('b2', 0, 7));
        record.deliver(delivery('b3', 0, 8));
        record.deliver(delivery('b2', 0, 7, { attempt: 2 }));
        record.deliver(delivery('b3', 0, 8, { attempt: 2, c: 'c2' }));
        record.deliver(delivery('b2', 0, 7, { attempt: 3 }));
      });
    },
  ],
  [
    'an ack with unknown outcome may be followed by a redelivery',
    (plot) => {
      plot.edit({ f: 'ack', type: 'ok', q: 0, off: 5 }, { type: 'info' });
      plot.before(HEAL, (record) => record.deliver(delivery('b0', 0, 5, { attempt: 3 })));
    },
  ],
  [
    'after a reset everything may come again',
    (plot) => {
      plot.before(HEAL, (record) => {
        for (const g of ['g', 'h']) record.reset({ g, topic: TOPIC, q: 0, off: 0 });
        record.session('c1', 'g', ['orders/0']);
        record.session('h1', 'h', ['orders/0']);
        record.deliver(delivery('a0', 0, 0));
        record.deliver(delivery('a0', 0, 0, { c: 'h1', g: 'h', via: 'pull' }));
        record.commit('invoke', { c: 'h1', g: 'h', topic: TOPIC, q: 0, off: 1 });
        record.commit('ok', { c: 'h1', g: 'h', topic: TOPIC, q: 0, off: 1 });
      });
    },
  ],
  [
    'commits under way at the same time may be answered in any order',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.commit('invoke', { c: 'h1', g: 'h', topic: TOPIC, q: 0, off: 11 });
        record.commit('invoke', { c: 'h1', g: 'h', topic: TOPIC, q: 0, off: 12 });
        record.commit('ok', { c: 'h1', g: 'h', topic: TOPIC, q: 0, off: 12 });
        record.commit('ok', { c: 'h1', g: 'h', topic: TOPIC, q: 0, off: 11 });
      });
    },
  ],
  [
    'sends under way at the same time may be stored in any order',
    (plot) => {
      plot.before(HEAL, (record) => {
        for (const id of ['x', 'y']) record.sendInvoke({ id, p: id, topic: TOPIC });
        record.sendOk('y', { q: 1, off: 5 });
        record.sendOk('x', { q: 1, off: 6 });
      });
      plot.before(END, (record) => {
        record.deliver(delivery('y', 1, 5, { c: 'd1', g: 'd' }));
        record.deliver(delivery('x', 1, 6, { c: 'd1', g: 'd' }));
      });
    },
  ],
  [
    'without dedup a retry may be stored twice',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.sendInvoke({ id: 'b5', p: 'p2', topic: TOPIC, crc: CRC });
        record.sendOk('b5', { q: 0, off: 12 });
      });
      plot.before(END, (record) => record.deliver(delivery('b5', 0, 12, { c: 'd1', g: 'd' })));
    },
    { requirements: { ...STORY_RUN, recovered: 0 } },
  ],
  [
    'the answer to a send may come after its timeout',
    (plot) => {
      plot.before(HEAL, (record) => record.sendOk('b5', { q: 0, off: 11 }));
    },
    { requirements: { ...STORY_RUN, recovered: 0 } },
  ],
  [
    'a retry may be refused after the first attempt was stored',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.sendInvoke({ id: 'b5', p: 'p2', topic: TOPIC, crc: CRC });
        record.sendFail('b5');
      });
    },
  ],
  [
    'a message moves to a retry topic and to the dead letters',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.deliver(delivery('b2', 0, 0, { topic: '%RETRY%g', attempt: 2 }));
        record.deliver(delivery('b2', 0, 0, { topic: '%DLQ%g', g: 'dead', attempt: 1 }));
      });
    },
  ],
  ['a send without an answer may be stored', (plot) => plot.remove({ type: 'info', id: 'b5' })],
  [
    'a send without an answer may be lost',
    (plot) => {
      plot.before(HEAL, (record) => record.sendInvoke({ id: 'x', p: 'p3', topic: TOPIC }));
    },
  ],
  [
    'with ASYNC_FLUSH a power loss may take the end, and the offsets are used again',
    (plot) => {
      plot.before(HEAL, (record) => {
        for (const seq of [11, 12]) {
          record.sendInvoke({ id: `a${seq}`, p: 'p1', topic: TOPIC, seq, dedup: true });
          record.sendOk(`a${seq}`, {
            q: 1,
            off: seq - 6,
            node: 'n',
            shard: 0,
            end: 1_000_000 + seq,
          });
        }
        record.deliver(delivery('a11', 1, 5));
        record.ack('ok', { c: 'c1', g: 'g', topic: TOPIC, q: 1, off: 5 });
        record.commit('ok', { c: 'h1', g: 'h', topic: TOPIC, q: 1, off: 7 });
        record.fault('power', 'n', true);
        record.sendInvoke({ id: 'x', p: 'p3', topic: TOPIC });
        record.sendOk('x', { q: 1, off: 5 });
        record.watermark({
          node: 'n',
          shard: 0,
          epoch: 2,
          written: 900_000,
          synced: 900_000,
          replicated: 0,
          visible: 900_000,
          mode: 'disk',
        });
        record.session('c1', 'g', ['orders/1']);
        record.session('h1', 'h', ['orders/1']);
        record.deliver(delivery('x', 1, 5));
        record.deliver(delivery('x', 1, 5, { c: 'h1', g: 'h', via: 'pull' }));
        record.committedInvoke({ c: 'h1', g: 'h', topic: TOPIC, q: 1 });
        record.committedOk({ c: 'h1', g: 'h', topic: TOPIC, q: 1 }, undefined);
      });
      plot.before(END, (record) => record.deliver(delivery('x', 1, 5, { c: 'd1', g: 'd' })));
    },
    WITH_LOSS,
  ],
  [
    'a power loss takes the end of a queue, with the second copy of a message whose first copy stays',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.sendInvoke({ id: 'x', p: 'p3', topic: TOPIC, crc: CRC });
        record.sendOk('x', { q: 0, off: 12 });
        record.sendInvoke({ id: 'b3', p: 'p2', topic: TOPIC, crc: CRC });
        record.sendInfo('b3');
        record.deliver(delivery('b3', 0, 13, { c: 'c9', g: 'other' }));
        record.fault('power', 'n', true);
      });
    },
    WITH_LOSS,
  ],
];

describe('clean histories', () => {
  for (const [name, change, options] of CLEAN) {
    test(`are valid: ${name}`, () => {
      const report = judge(change, options);
      assert.deepEqual(report.anomalies, []);
      assert.deepEqual(report.unknownReasons, []);
      assert.equal(report.verdict, 'valid');
    });
  }

  test('are counted', () => {
    const { totals } = judge(() => undefined);
    assert.deepEqual(totals, {
      events: story().length,
      messages: 18,
      acked: 16,
      info: 2,
      failed: 1,
      recovered: 1,
      deliveries: 10 + 5 + 2 + 17,
      delivered: 17,
      redeliveries: 1,
      faults: 1,
      effectiveFaults: 1,
      excusedLosses: 0,
      skippedOffsets: 0,
    });
  });
});

const VACUOUS: readonly (readonly [name: string, reason: RegExp, change: Change])[] = [
  [
    'there is nothing in it',
    /no phase drain.*acked is 0/s,
    (plot) => {
      plot.events = [];
    },
  ],
  [
    'it was not drained',
    /no phase drain/,
    (plot) => {
      plot.edit({ f: 'phase', name: 'drain' }, { name: 'run' });
      plot.edit({ f: 'phase', name: 'end' }, { name: 'end' });
    },
  ],
  [
    'the drain did not end',
    /no phase drain/,
    (plot) => {
      plot.remove(END);
    },
  ],
  [
    'too little was acknowledged',
    /acked is 15, at least 16/,
    (plot) => {
      plot.edit({ f: 'send', type: 'ok', id: 'b4' }, { type: 'info' });
    },
  ],
  [
    'no outcome was unknown and none recovered',
    /info is 1, at least 2.*recovered is 0, at least 1/s,
    (plot) => {
      plot.removeAll({ id: 'b5' });
    },
  ],
  [
    'no fault changed an outcome',
    /effectiveFaults is 0/,
    (plot) => {
      plot.removeAll({ f: 'fault' });
    },
  ],
  [
    'faults came only after the last send',
    /effectiveFaults is 0/,
    (plot) => {
      plot.removeAll({ f: 'fault' });
      plot.before(HEAL, (record) => record.fault('kill', 'n', true));
    },
  ],
  [
    'a message was sent after the drain began',
    /x is sent after the drain began/,
    (plot) => {
      plot.before(END, (record) => record.sendInvoke({ id: 'x', p: 'p3', topic: TOPIC }));
    },
  ],
  [
    'a send ended before it began',
    /the send of x ended before it began/,
    (plot) => {
      plot.before(HEAL, (record) => record.sendInfo('x'));
    },
  ],
  [
    'a send ended twice',
    /ended more often than it began/,
    (plot) => {
      plot.before(HEAL, (record) => record.sendOk('a1', { q: 1, off: 0 }));
    },
  ],
  [
    'an id is used for two messages',
    /used for two messages/,
    (plot) => {
      plot.before(HEAL, (record) => record.sendInvoke({ id: 'a1', p: 'p9', topic: TOPIC }));
    },
  ],
  [
    'something was acked that was not delivered',
    /an ack of orders\/0@7, which was not delivered to g/,
    (plot) => {
      plot.before(HEAL, (record) =>
        record.ack('ok', { c: 'c1', g: 'g', topic: TOPIC, q: 0, off: 7 }),
      );
    },
  ],
  [
    'a session names no queue',
    /is not topic\/queue/,
    (plot) => {
      plot.before(HEAL, (record) => record.session('c1', 'g', ['orders']));
    },
  ],
];

describe('histories that prove nothing', () => {
  for (const [name, reason, change] of VACUOUS) {
    test(`are unknown: ${name}`, () => {
      const report = judge(change);
      assert.deepEqual(report.anomalies, []);
      assert.equal(report.verdict, 'unknown');
      assert.match(report.unknownReasons.join('\n'), reason);
    });
  }

  test('are unknown: two events share a time', () => {
    const events = story();
    events.splice(5, 0, events[4] as HistoryEvent);
    const report = checkHistory(events, { requirements: STORY_RUN });
    assert.notEqual(report.verdict, 'valid');
    assert.match(report.unknownReasons.join('\n'), /the time is not above/);
  });
});

test('a broken run keeps few texts and all counts', () => {
  const { log, record } = recording();
  record.phase('run');
  for (let index = 0; index < 1000; index += 1) {
    record.sendInvoke({ id: `m${index}`, p: 'p', topic: TOPIC });
    record.sendOk(`m${index}`, { q: 0, off: index });
  }
  record.phase('drain');
  record.phase('end');
  const report = checkHistory(log.events, { requirements: QUIET_RUN });
  assert.equal(report.anomalyCounts.lost, 1000);
  assert.equal(report.anomalies.length, ANOMALIES_KEPT);
});

test('the offsets a pulling consumer jumps over are counted', () => {
  const report = judge((plot) => {
    plot.before(HEAL, (record) => {
      record.session('f1', 'f', ['orders/0']);
      record.deliver(delivery('a0', 0, 0, { c: 'f1', g: 'f', via: 'pull' }));
      record.deliver(delivery('b0', 0, 5, { c: 'f1', g: 'f', via: 'pull' }));
    });
  });
  assert.equal(report.verdict, 'valid');
  assert.equal(report.totals.skippedOffsets, 4);
});

test('300,000 events over far apart offsets are checked in one pass', () => {
  const checker = new HistoryChecker({ requirements: QUIET_RUN });
  const record = new HistoryRecorder(new SimClock(), checker);
  record.phase('run');
  const count = 75_000;
  for (let index = 0; index < count; index += 1) {
    const [q, off] = [index % 8, 1e12 + Math.floor(index / 8)];
    record.sendInvoke({
      id: `m${index}`,
      p: `p${index % 5}`,
      topic: TOPIC,
      seq: index,
      dedup: true,
      crc: CRC,
    });
    record.sendOk(`m${index}`, { q, off });
    record.deliver(delivery(`m${index}`, q, off));
  }
  record.phase('drain', 'd');
  for (let index = 0; index < count; index += 1) {
    record.deliver(
      delivery(`m${index}`, index % 8, 1e12 + Math.floor(index / 8), { c: 'd1', g: 'd' }),
    );
  }
  record.phase('end');
  const report = checker.finish();
  assert.deepEqual([report.verdict, report.totals.acked], ['valid', count]);
});
