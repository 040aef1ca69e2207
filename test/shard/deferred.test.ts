import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import { DEFER_FLAG_HALF } from '../../src/protocol/envelope-layout.ts';
import type { CancelResult, EndResult, HalfList } from '../../src/protocol/shard-control.ts';
import { DeferredBench, only, T } from '../../src/testing/deferred-bench.ts';
import { RIG_CONFIG, rigTopic } from '../../src/testing/shard-rig.ts';

const HOUR_MS = 3_600_000;

describe('a delayed message', () => {
  test('is acknowledged at once and seen when it is due, not before, in the order of due times', () => {
    const bench = new DeferredBench();
    const late = bench.send('late', 2000);
    assert.ok(late.kind === 'produced' && late.isDeferred);
    assert.ok(late.baseOffset > bench.clock.epochMs());
    bench.send('early', 1000);
    bench.send('now');
    assert.deepEqual(bench.bodies(), ['now']);
    bench.pass(900);
    assert.deepEqual(bench.bodies(), ['now']);
    bench.pass(200);
    assert.deepEqual(bench.bodies(), ['now', 'early']);
    bench.pass(1000);
    assert.deepEqual(bench.bodies(), ['now', 'early', 'late']);
    bench.restart();
    bench.pass(10_000);
    assert.deepEqual(bench.bodies(), ['now', 'early', 'late']);
  });

  test('survives restarts, with a snapshot and without, and what was due meanwhile comes at once', () => {
    const bench = new DeferredBench();
    bench.send('first', 5000);
    bench.restart();
    bench.send('second', 6000);
    bench.control({ op: 'drain' });
    bench.restart();
    assert.deepEqual(bench.bodies(), []);
    bench.clock.advance(7000);
    bench.restart();
    assert.deepEqual(bench.bodies(), ['first', 'second']);
  });

  test('follows the wall clock of the broker when somebody sets it', () => {
    const bench = new DeferredBench();
    bench.send('due in an hour', HOUR_MS);
    bench.clock.jumpEpoch(-HOUR_MS);
    bench.pass(HOUR_MS + 1000);
    assert.deepEqual(bench.bodies(), []);
    bench.clock.jumpEpoch(HOUR_MS);
    bench.settle();
    assert.deepEqual(bench.bodies(), ['due in an hour']);
  });

  test('of a producer is stored once, and its duplicate says when it is due', () => {
    const bench = new DeferredBench();
    const producer = { id: 'tab', epoch: 0, sequence: 0 };
    const first = bench.send('once', 1000, undefined, producer);
    const again = bench.send('once', 9000, undefined, producer);
    assert.ok(first.kind === 'produced' && again.kind === 'produced');
    assert.ok(again.isDuplicate && again.isDeferred);
    assert.equal(again.baseOffset, first.baseOffset);
    assert.equal(again.position, first.position);
    assert.equal(bench.send('next', 0, undefined, { ...producer, sequence: 1 }).kind, 'produced');
    bench.pass(2000);
    assert.deepEqual(bench.bodies(), ['next', 'once']);
    bench.restart();
    const third = bench.send('once', 1000, undefined, producer);
    assert.ok(third.kind === 'produced' && third.isDuplicate && third.isDeferred);
    const next = bench.send('more', 0, undefined, { ...producer, sequence: 2 });
    assert.ok(next.kind === 'produced' && !next.isDuplicate);
  });

  test('whose topic is deleted is dropped', () => {
    const bench = new DeferredBench();
    bench.send('gone', 1000);
    bench.control({ op: 'deleteTopic', topicId: T });
    bench.control({ op: 'putTopic', topic: rigTopic(2, 'orders', 1) });
    bench.pass(5000);
    bench.restart();
    bench.rig.fetch(2, 0, 0);
    assert.deepEqual(only(bench.settle(), 'fetched')[0]?.records, []);
    assert.deepEqual(bench.events, []);
  });

  test('comes by hundreds in one go, from memory and from files', () => {
    const bench = new DeferredBench();
    const expected: string[] = [];
    for (let index = 0; index < 600; index += 1) {
      const body = `${index} ${'x'.repeat(200)}`;
      bench.rig.produce(T, 0, [{ body, bodyKind: BODY_TEXT }], undefined, {
        dueAtMs: bench.clock.epochMs() + HOUR_MS - index,
      });
      if (index % 50 === 49) bench.settle();
      expected.push(body);
    }
    bench.clock.advance(2 * HOUR_MS);
    for (let round = 0; round < 50; round += 1) bench.settle();
    assert.deepEqual(bench.bodies().toSorted(), expected.toSorted());
  });
});

describe('what waits', () => {
  test('is listed by key, what is due first first', () => {
    const bench = new DeferredBench();
    bench.send('b', 2000, 'order-1');
    bench.send('a', 1000, 'order-1');
    bench.send(['c', 'd', 'e'], 3000, 'other');
    const all = bench.list();
    assert.equal(all.waiting, 5);
    assert.deepEqual(
      all.messages.map(({ key }) => key),
      ['order-1', 'order-1', 'other', 'other-1', 'other-2'],
    );
    assert.deepEqual(
      bench.list('other-1').messages.map(({ index }) => index),
      [1],
    );
    assert.equal(bench.list('order-1').messages.length, 2);
    assert.equal(bench.list('nobody').messages.length, 0);
    assert.equal(bench.list(null, 2).messages.length, 2);
  });

  test('is cancelled with an answer that stays true over restarts', () => {
    const bench = new DeferredBench();
    bench.send('delivered', 10, 'delivered');
    bench.pass(100);
    bench.send('cancelled', 1000, 'cancelled');
    const kept = bench.send('kept', 1000, 'kept');
    assert.equal(bench.cancel('cancelled').outcome, 'cancelled');
    assert.equal(bench.cancel('cancelled').outcome, 'cancelled');
    assert.equal(bench.cancel('cancelled').cancelled.length, 0);
    assert.equal(bench.cancel('delivered').outcome, 'delivered');
    assert.equal(bench.cancel('unknown').outcome, 'notFound');
    bench.restart();
    assert.equal(bench.cancel('cancelled').outcome, 'cancelled');
    bench.control({ op: 'drain' });
    bench.restart();
    assert.equal(bench.cancel('cancelled').outcome, 'cancelled');
    bench.pass(5000);
    assert.deepEqual(bench.bodies(), ['delivered', 'kept']);
    assert.ok(kept.kind === 'produced');
    assert.equal(bench.cancelAt(kept.position).outcome, 'delivered');
    // A synchronous master that has just begun does not know how much of its log is confirmed: the answer waits for that.
    const { context } = bench.rig.agent;
    context.commit = 0;
    assert.equal(bench.cancelAt(kept.position).outcome, 'delivered');
    context.commit = 0;
    assert.equal(bench.cancel('delivered').outcome, 'delivered');
    assert.equal(bench.cancelAt(kept.position + 1).outcome, 'notFound');
  });

  test('is delivered already when its copy is in the log, and on no disk yet', () => {
    const bench = new DeferredBench();
    bench.send('due', 10, 'due');
    bench.clock.advance(20);
    bench.rig.agent.doWork();
    assert.ok(bench.rig.memory.appended.observe() > bench.rig.memory.written.observe());
    bench.rig.control({ op: 'cancelDelayed', topicId: T, key: 'due', place: -1 });
    // The search is over before the flusher has its turn.
    for (let cycle = 0; cycle < 3; cycle += 1) {
      bench.rig.agent.doWork();
      bench.rig.stepJob();
    }
    const [answer] = only(bench.settle(), 'control');
    assert.equal((answer?.result as CancelResult | undefined)?.outcome, 'delivered');
  });

  test('can be cancelled one message of a batch at a time', () => {
    const bench = new DeferredBench();
    const sent = bench.send(['a', 'b', 'c'], 1000, 'k');
    assert.ok(sent.kind === 'produced');
    assert.deepEqual(bench.cancelAt(sent.position + 1), {
      outcome: 'cancelled',
      cancelled: [{ origin: sent.position, index: 1 }],
    });
    assert.equal(bench.list().waiting, 2);
    bench.restart();
    assert.equal(bench.cancelAt(sent.position + 1).outcome, 'cancelled');
    bench.pass(2000);
    assert.deepEqual(bench.bodies(), ['a', 'c']);
    bench.restart();
    bench.pass(2000);
    assert.deepEqual(bench.bodies(), ['a', 'c']);
  });
});

describe('a message that waits longer than messages are kept', () => {
  test('is written again before its segment is let go, and found where it is', () => {
    const bench = new DeferredBench({ retentionBytes: 3 * RIG_CONFIG.segmentBytes });
    const sent = bench.send('patient', 10 * HOUR_MS, 'patient');
    const half = bench.send(['x', 'patient too'], 10 * HOUR_MS, 'second');
    assert.ok(sent.kind === 'produced' && half.kind === 'produced');
    bench.cancelAt(half.position);
    const segments = (): number => bench.disk.list().filter((name) => name.endsWith('.seg')).length;
    for (let round = 0; round < 60; round += 1) {
      for (let index = 0; index < 8; index += 1)
        bench.rig.produce(T, 0, [{ body: 'f'.repeat(2000), bodyKind: BODY_TEXT }]);
      bench.clock.advance(1000);
      bench.settle();
      if (round % 20 === 10) bench.restart();
    }
    assert.ok(!bench.disk.exists('log-000000000000.seg'), 'segment 0 was let go');
    assert.ok(segments() <= 8, `${segments()} segments are kept`);
    assert.equal(bench.list('patient').messages[0]?.origin, sent.position);
    bench.pass(11 * HOUR_MS);
    bench.restart();
    bench.rig.fetch(T, 0, 479);
    const [fetched] = only(bench.settle(), 'fetched');
    const bodies = fetched?.records.map(({ body }) => body).filter((body) => body[0] !== 'f');
    assert.deepEqual(bodies, ['patient', 'patient too']);
    assert.deepEqual(bench.events, []);
  });

  test('is passed over and reported when its bytes are damaged', () => {
    const bench = new DeferredBench();
    const sent = bench.send('rotten', HOUR_MS);
    bench.send('sound', HOUR_MS);
    assert.ok(sent.kind === 'produced');
    for (let index = 0; index < 60; index += 1) bench.send(`fill ${'f'.repeat(3000)}`);
    const file = bench.disk.open('log-000000000000.seg', false);
    file.write(new Uint8Array([1, 2, 3, 4]), sent.position + 70);
    file.close();
    bench.pass(2 * HOUR_MS);
    bench.pass(1000);
    const bodies = bench.bodies().filter((body) => !body.startsWith('fill'));
    assert.deepEqual(bodies, ['sound']);
    // The scrub of that hour finds it too.
    assert.deepEqual(new Set(bench.events), new Set(['rot']));
    bench.restart();
    assert.equal(bench.list().waiting, 0);
  });
});

describe('a half message', () => {
  const half = (bench: DeferredBench, body: string, afterMs = 1000): number => {
    const record = { body, bodyKind: BODY_TEXT, properties: { PGROUP: 'shop' } } as const;
    const dueAtMs = bench.clock.epochMs() + afterMs;
    bench.rig.produce(T, 0, [record], undefined, { dueAtMs, flags: DEFER_FLAG_HALF });
    const [reply] = only(bench.settle(), 'produced');
    assert.ok(reply?.isDeferred);
    return reply.position;
  };
  const end = (bench: DeferredBench, place: number, isCommit: boolean): string =>
    bench.control<EndResult>({ op: 'endTransaction', place, isCommit }).outcome;
  const list = (bench: DeferredBench, onlyParked = false): HalfList =>
    bench.control({ op: 'listHalf', max: 10, onlyParked });

  test('is seen when it is committed, never when it is rolled back; both answers stay', () => {
    const bench = new DeferredBench();
    const first = half(bench, 'committed');
    const second = half(bench, 'rolled back');
    assert.deepEqual(bench.bodies(), []);
    assert.equal(list(bench).waiting, 2);
    assert.equal(end(bench, first, true), 'committed');
    assert.equal(end(bench, second, false), 'rolledBack');
    assert.deepEqual(bench.bodies(), ['committed']);
    bench.restart();
    for (const isCommit of [true, false]) {
      assert.equal(end(bench, first, isCommit), 'committed');
      assert.equal(end(bench, second, isCommit), 'rolledBack');
    }
    assert.equal(end(bench, 12_345, true), 'notFound');
    bench.control({ op: 'drain' });
    bench.restart();
    assert.equal(end(bench, first, false), 'committed');
    bench.pass(100_000);
    assert.deepEqual(bench.bodies(), ['committed']);
  });

  test('is ended by its own producer group or by an operator, and by nobody else', () => {
    const bench = new DeferredBench();
    const endAs = (group: string, place: number, isCommit: boolean): string =>
      bench.control<EndResult>({ op: 'endTransaction', place, isCommit, group }).outcome;
    const old = half(bench, 'old', 1e9);
    // Its batch is in a file only.
    for (let index = 0; index < 60; index += 1) bench.send(`fill ${'f'.repeat(3000)}`);
    const young = half(bench, 'young', 1e9);
    for (const place of [old, young])
      for (const isCommit of [true, false])
        assert.equal(endAs('thieves', place, isCommit), 'wrongGroup');
    assert.equal(list(bench).waiting, 2);
    assert.equal(endAs('shop', old, true), 'committed');
    assert.equal(endAs('shop', young, false), 'rolledBack');
    // Nothing is left to protect: the answer is the one that everybody gets.
    assert.equal(endAs('thieves', old, false), 'committed');
    assert.ok(bench.bodies().includes('old'));
    assert.equal(end(bench, half(bench, 'parked'), false), 'rolledBack');
  });

  test('is asked about as often as is set, over restarts, and is listed then', () => {
    const bench = new DeferredBench({ transactionCheckMax: 3, transactionCheckIntervalMs: 1000 });
    const place = half(bench, 'in doubt');
    bench.pass(900);
    assert.deepEqual(bench.events, []);
    bench.pass(200);
    assert.deepEqual(bench.events, ['check-half']);
    bench.restart();
    for (let round = 0; round < 8; round += 1) bench.pass(500);
    assert.deepEqual(bench.events, ['check-half', 'check-half', 'check-half']);
    const [parked] = list(bench, true).messages;
    assert.equal(parked?.origin, place);
    assert.equal(parked.checks, 3);
    assert.equal(parked.group, 'shop');
    assert.equal(parked.nextCheckAt, null);
    bench.restart();
    bench.pass(60_000);
    assert.equal(bench.events.length, 3);
    assert.equal(end(bench, place, true), 'committed');
    assert.deepEqual(bench.bodies(), ['in doubt']);
    assert.equal(list(bench).waiting, 0);
  });

  test('is no delayed message: no list shows it and no key cancels it', () => {
    const bench = new DeferredBench();
    const place = half(bench, 'half');
    assert.equal(bench.list().waiting, 0);
    assert.equal(bench.cancelAt(place).outcome, 'notFound');
    assert.equal(end(bench, place, true), 'committed');
  });

  test('outlives its segment', () => {
    const bench = new DeferredBench({ retentionBytes: 3 * RIG_CONFIG.segmentBytes });
    const place = half(bench, 'patient', HOUR_MS);
    for (let round = 0; round < 30; round += 1) {
      for (let index = 0; index < 8; index += 1)
        bench.rig.produce(T, 0, [{ body: 'f'.repeat(2000), bodyKind: BODY_TEXT }]);
      bench.pass(1000);
    }
    assert.ok(!bench.disk.exists('log-000000000000.seg'));
    bench.restart();
    assert.equal(end(bench, place, true), 'committed');
    bench.rig.fetch(T, 0, 240);
    assert.equal(only(bench.settle(), 'fetched')[0]?.records.at(-1)?.body, 'patient');
  });
});
