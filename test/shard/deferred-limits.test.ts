/** What many, large or stopped requests do to a shard with deferred messages: it goes on, and everybody is answered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storageIoError } from '../../src/log/storage-rules.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import { DEFER_FLAG_HALF } from '../../src/protocol/envelope-layout.ts';
import type { HalfList } from '../../src/protocol/shard-control.ts';
import { DeferredBench, only, T } from '../../src/testing/deferred-bench.ts';
import type { RigReply } from '../../src/testing/shard-rig.ts';

const HOUR_MS = 3_600_000;

test('thousands of cancellations may wait behind one that reads a file', () => {
  const bench = new DeferredBench();
  const cold = bench.send('cold', HOUR_MS, 'cold');
  for (let index = 0; index < 40; index += 1) bench.send('f'.repeat(2000));
  bench.send('hot', HOUR_MS, 'hot');
  assert.ok(cold.kind === 'produced');
  const { rig } = bench;
  const replies: RigReply[] = [];
  let asked = 0;
  const ask = (place: number): void => {
    const request = { op: 'cancelDelayed', topicId: T, key: null, place } as const;
    while (rig.control(request) === 0) {
      rig.agent.doWork();
      replies.push(...rig.take());
    }
    asked += 1;
  };
  ask(cold.position);
  // All of these find at once that nothing waits there.
  for (let index = 0; index < 5000; index += 1) ask(2 ** 50 + index);
  for (let round = 0; round < 50; round += 1) replies.push(...bench.settle());
  assert.equal(only(replies, 'control').length, asked);
});

test('a key of thousands of messages is cancelled, and the shard goes on', () => {
  const bench = new DeferredBench();
  const records = Array.from({ length: 300 }, () => ({
    ...({ body: 'x', bodyKind: BODY_TEXT } as const),
    key: 'same',
  }));
  for (let batch = 0; batch < 20; batch += 1) {
    bench.rig.produce(T, 0, records, undefined, { dueAtMs: bench.clock.epochMs() + HOUR_MS });
    assert.equal(only(bench.settle(), 'produced').length, 1);
  }
  bench.rig.control({ op: 'cancelDelayed', topicId: T, key: 'same', place: -1 });
  const [refused] = only(bench.settle(), 'failed');
  assert.equal(refused?.code, 'LIMIT_REACHED');
  assert.equal(bench.list().waiting, 0);
  assert.equal(bench.cancel('same').outcome, 'cancelled');
  bench.pass(2 * HOUR_MS);
  assert.deepEqual(bench.bodies(), []);
});

test('a commit is refused while nothing can be stored, and decides nothing', () => {
  const bench = new DeferredBench();
  const record = { body: 'half', bodyKind: BODY_TEXT } as const;
  const dueAtMs = bench.clock.epochMs() + HOUR_MS;
  bench.rig.produce(T, 0, [record], undefined, { dueAtMs, flags: DEFER_FLAG_HALF });
  const [half] = only(bench.settle(), 'produced');
  assert.ok(half);
  const { context } = bench.rig.agent;
  context.refusal = { code: 'STORAGE_FULL', text: 'no room' };
  bench.rig.control({ op: 'endTransaction', place: half.position, isCommit: true });
  assert.equal(only(bench.settle(), 'failed')[0]?.code, 'STORAGE_FULL');
  context.refusal = undefined;
  const request = { op: 'endTransaction', place: half.position, isCommit: false } as const;
  assert.deepEqual(bench.control(request), { outcome: 'rolledBack' });
  assert.deepEqual(bench.bodies(), []);
});

test('half messages by the thousand that are given up at one time are decided in slices', () => {
  const bench = new DeferredBench({ transactionCheckMax: 0 });
  const dueAtMs = bench.clock.epochMs() + HOUR_MS;
  for (let index = 0; index < 1000; index += 1) {
    const record = { body: 'half', bodyKind: BODY_TEXT } as const;
    bench.rig.produce(T, 0, [record], undefined, { dueAtMs, flags: DEFER_FLAG_HALF });
    if (index % 20 === 19) bench.settle();
  }
  bench.clock.advance(2 * HOUR_MS);
  const { control } = bench.rig.agent.context;
  let cycles = 0;
  for (; bench.rig.agent.doWork() > 0 || cycles < 4; cycles += 1)
    assert.ok(control.bytes < 16 * 1024, `${control.bytes} bytes are decided in one cycle`);
  bench.settle();
  const list = bench.control<HalfList>({ op: 'listHalf', max: 1, onlyParked: true });
  assert.equal(list.waiting, 1000);
});

test('what cannot be read now holds up nobody else, is reported, and comes when it can be read', () => {
  const bench = new DeferredBench();
  const bad = bench.send('bad', HOUR_MS);
  for (const body of ['good', 'better']) bench.send(body, HOUR_MS);
  for (let index = 0; index < 60; index += 1) bench.send(`fill ${'f'.repeat(3000)}`);
  assert.ok(bad.kind === 'produced');
  const open = bench.disk.open.bind(bench.disk);
  let isBroken = true;
  bench.disk.open = (name, create) => {
    const file = open(name, create);
    const read = file.read.bind(file);
    file.read = (target, at): number => {
      const isBad =
        name === 'log-000000000000.seg' && at <= bad.position && at + target.length > bad.position;
      if (isBroken && isBad) throw storageIoError('read', name, 'EIO');
      return read(target, at);
    };
    return file;
  };
  const seen = (): string[] => bench.bodies().filter((body) => !body.startsWith('fill'));
  bench.clock.advance(2 * HOUR_MS);
  for (let round = 0; round < 10; round += 1) bench.pass(200);
  assert.deepEqual(seen(), ['good', 'better']);
  assert.ok(bench.events.includes('rot'));
  isBroken = false;
  bench.pass(61_000);
  assert.deepEqual(seen(), ['good', 'better', 'bad']);
  bench.restart();
  bench.pass(61_000);
  assert.deepEqual(seen(), ['good', 'better', 'bad']);
});
