/** The small parts by themselves: deadlines, rate limits, tokens, ranges, plans of sends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bearerToken } from '../../src/acceptor/auth-guard.ts';
import { Deadlines } from '../../src/acceptor/deadlines.ts';
import { parseToken, tokenOf, tokenPrefix } from '../../src/acceptor/delivery-token.ts';
import { PendingRequests } from '../../src/acceptor/pending-requests.ts';
import { planSend } from '../../src/acceptor/send-plan.ts';
import { mergeRanges } from '../../src/acceptor/settle-path.ts';
import { TokenBucket } from '../../src/acceptor/token-bucket.ts';
import { SluiceError } from '../../src/base/errors.ts';
import { fnv1a } from '../../src/base/fnv1a.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { BatchBuilder } from '../../src/protocol/batch/batch-builder.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import type { TopicRecord } from '../../src/protocol/shard-control.ts';
import type { SendRecord } from '../../src/protocol/web/checked-requests.ts';

test('deadlines run in order, cancelled ones never, and their memory is given up', () => {
  const prng = seededPrng(5);
  const deadlines = new Deadlines();
  const ran: number[] = [];
  const expected: number[] = [];
  for (let index = 0; index < 2000; index += 1) {
    const atMs = prng.integer(1000);
    const deadline = deadlines.add(atMs, () => ran.push(atMs));
    if (prng.chance(0.7)) {
      deadline.cancel();
      deadline.cancel();
    } else expected.push(atMs);
  }
  assert.equal(deadlines.count, expected.length);
  for (let nowMs = 0; nowMs < 1000; nowMs += 7) {
    deadlines.run(nowMs);
    assert.ok(deadlines.nextAtMs > nowMs);
  }
  deadlines.run(1000);
  assert.deepEqual(
    ran,
    expected.toSorted((one, other) => one - other),
  );
  assert.equal(deadlines.nextAtMs, Number.POSITIVE_INFINITY);
});

test('a deadline may add another one while it runs', () => {
  const deadlines = new Deadlines();
  const ran: string[] = [];
  deadlines.add(1, () => {
    ran.push('first');
    deadlines.add(1, () => ran.push('second'));
  });
  assert.equal(deadlines.run(1), 2);
  assert.deepEqual(ran, ['first', 'second']);
});

test('a token bucket holds the rate over time and lets a large one pass on credit', () => {
  const bucket = new TokenBucket(100, 0);
  let taken = 0;
  for (let nowMs = 0; nowMs < 10_000; nowMs += 1) if (bucket.take(1, nowMs) === 0) taken += 1;
  assert.ok(taken >= 1080 && taken <= 1100, `${taken} in ten seconds at 100 a second`);
  const large = new TokenBucket(100, 0);
  assert.equal(large.take(250, 0), 0);
  const waitMs = large.take(1, 0);
  assert.ok(waitMs >= 1500, `${waitMs} ms`);
  assert.equal(large.take(1, waitMs), 0);
  assert.equal(new TokenBucket(0, 0).take(1e9, 0), 0);
});

test('tokens have one spelling', () => {
  const prng = seededPrng(9);
  for (let round = 0; round < 500; round += 1) {
    const token = {
      groupId: prng.integer(0x1_0000_0000),
      topicId: prng.integer(0x1_0000_0000),
      queueId: prng.integer(0x1_0000),
      queueOffset: prng.integer(Number.MAX_SAFE_INTEGER),
      leaseId: prng.integer(Number.MAX_SAFE_INTEGER),
    };
    const prefix = tokenPrefix(token.groupId, token.topicId, token.queueId);
    const text = tokenOf(prefix, token.queueOffset, token.leaseId);
    assert.deepEqual(parseToken(text), token);
    for (const wrong of [`${text}.0`, text.toUpperCase(), ` ${text}`, `0${text}`, text.slice(2)]) {
      if (wrong === text) continue;
      try {
        assert.notDeepEqual(parseToken(wrong), token);
      } catch (error) {
        assert.ok(error instanceof SluiceError && error.code === 'INVALID_ARGUMENT');
      }
    }
  }
});

test('single messages become as few ranges as can be', () => {
  const one = (queueId: number, queueOffset: number, leaseId: number) =>
    ({ queueId, queueOffset, count: 1, leaseId }) as const;
  const merged = mergeRanges([
    one(1, 5, 9),
    one(0, 3, 9),
    one(1, 4, 9),
    one(1, 6, 8),
    one(1, 5, 9),
    one(1, 8, 9),
  ]);
  assert.deepEqual(merged, [
    { queueId: 0, queueOffset: 3, count: 1, leaseId: 9 },
    { queueId: 1, queueOffset: 6, count: 1, leaseId: 8 },
    { queueId: 1, queueOffset: 4, count: 2, leaseId: 9 },
    { queueId: 1, queueOffset: 8, count: 1, leaseId: 9 },
  ]);
});

test('a plan has every message once, in order within its queue, and its sizes are those of the batch', () => {
  const topic: TopicRecord = {
    topicId: 1,
    topic: 't',
    queues: 5,
    retentionMs: null,
    retentionBytes: null,
    whenFull: 'refuse',
    deadLetterOf: null,
  };
  const prng = seededPrng(3);
  const bounds = { batchBytesMax: 2000, bodyBytesMax: 1500 };
  for (let round = 0; round < 50; round += 1) {
    const records: SendRecord[] = Array.from({ length: 1 + prng.integer(60) }, () => ({
      body: 'x'.repeat(prng.integer(400)),
      bodyKind: BODY_TEXT,
      key: prng.chance(0.7) ? `k${prng.integer(9)}` : undefined,
      deferral: prng.chance(0.2) ? { deliverAt: 5 + prng.integer(2) } : undefined,
    }));
    const producerId = prng.chance(0.3) ? 'producer' : '';
    const command = {
      topic: 't',
      records,
      queueId: undefined,
      producerId,
      producerEpoch: 0,
      sequence: producerId === '' ? 0 : 100,
    };
    const planned = planSend(topic, command, 3, bounds, (one) =>
      one !== undefined && 'deliverAt' in one ? one.deliverAt : 0,
    );
    const indices = planned.flatMap((batch) => batch.indices);
    assert.deepEqual(
      indices.toSorted((one, other) => one - other),
      [...records.keys()],
    );
    for (const batch of planned) {
      for (const [place, index] of batch.indices.entries()) {
        const { deferral } = records[index] as SendRecord;
        assert.equal(
          batch.dueAtMs,
          deferral !== undefined && 'deliverAt' in deferral ? deferral.deliverAt : 0,
        );
        if (producerId !== '') assert.equal(index, batch.sequence - 100 + place);
      }
      assert.ok(batch.bytes <= bounds.batchBytesMax);
      const builder = new BatchBuilder(64, producerId);
      for (const [place, index] of batch.indices.entries()) {
        const record = records[index];
        assert.ok(record);
        assert.ok(builder.append(record, batch.sizes[place] as number, batch.bytes, 1));
        const expected =
          producerId !== ''
            ? fnv1a(producerId) % 5
            : record.key === undefined
              ? 3
              : fnv1a(record.key) % 5;
        assert.equal(batch.queueId, expected);
      }
      assert.equal(builder.finish(batch.sequence, 0).length, batch.bytes);
      const [first = 0] = batch.indices;
      assert.equal(batch.sequence, producerId === '' ? 0 : 100 + first);
    }
  }
});

test('requests that wait for shards are answered once, by whatever comes first', () => {
  const pending = new PendingRequests();
  const ends: string[] = [];
  const waiter = (name: string, isLongPoll = false) => ({
    replied: () => ends.push(`${name} replied`),
    failed: (error: SluiceError) => ends.push(`${name} ${error.code}`),
    isLongPoll,
  });
  const first = pending.add(0, waiter('a'), 10);
  pending.add(1, waiter('b'), 20);
  pending.add(0, waiter('c', true), 30);
  pending.take(first)?.replied(1, new Uint8Array(0), new DataView(new ArrayBuffer(0)), 0, 0);
  assert.equal(pending.take(first), undefined);
  pending.failLongPolls(new SluiceError('DRAINING'));
  pending.failExpired(19, new SluiceError('TIMEOUT'));
  pending.failShard(0, new SluiceError('SHARD_RESTARTING'));
  pending.failExpired(20, new SluiceError('TIMEOUT'));
  assert.deepEqual(ends, ['a replied', 'c DRAINING', 'b TIMEOUT']);
  assert.equal(pending.count, 0);
});

test('a bearer token is read from its header alone', () => {
  assert.equal(bearerToken('Bearer abc'), 'abc');
  assert.equal(bearerToken('bearer   abc '), 'abc');
  for (const header of [undefined, '', 'Basic abc', 'Bearer', 'Bearer a b', 'xBearer abc'])
    assert.equal(bearerToken(header), undefined);
});
