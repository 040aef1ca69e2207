/** One group on one queue against a model that remembers every message by itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GROUP_QUEUE_LEASES_MAX } from '../../src/base/limits.ts';
import { GroupQueue } from '../../src/shard/group-queue.ts';

const MESSAGES = 30;
const ATTEMPTS = 1000;
type Model = { state: 'new' | 'leased' | 'retry' | 'settled'; lease: number; dueAtMs: number };

const step = fc.oneof(
  fc.record({ kind: fc.constant('deliver' as const), count: fc.integer({ min: 1, max: 8 }) }),
  fc.record({
    kind: fc.constantFrom('ack' as const, 'nack' as const),
    pick: fc.nat(),
    from: fc.nat(9),
    count: fc.integer({ min: 1, max: 9 }),
  }),
  fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 400 }) }),
  fc.record({ kind: fc.constant('assign' as const), owner: fc.integer({ min: 0, max: 3 }) }),
);

test('every message is delivered until it is settled, never by two owners at a time, never after', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const queue = new GroupQueue(1, 1, 0, 0);
      const model: Model[] = Array.from({ length: MESSAGES }, () => ({
        state: 'new',
        lease: 0,
        dueAtMs: 0,
      }));
      const leases = new Map<
        number,
        { start: number; end: number; owner: number; deadlineMs: number }
      >();
      let nowMs = 0;
      let nextLease = 1;
      queue.assign(1);
      for (const one of steps) {
        if (one.kind === 'assign') queue.assign(one.owner);
        else if (one.kind === 'time') {
          nowMs += one.ms;
          for (const lease of queue.endLeases(nowMs)) {
            for (const [start, end] of lease.open.runs()) {
              queue.retry(
                { start, end, attempt: lease.attempt + 1, dueAtMs: nowMs, reason: '' },
                nowMs,
              );
              for (let at = start; at < end; at += 1)
                model[at] = { state: 'retry', lease: 0, dueAtMs: nowMs };
            }
            leases.delete(lease.id);
          }
        } else if (one.kind === 'deliver') {
          const range = queue.next(MESSAGES, nowMs, ATTEMPTS);
          if (range === undefined) continue;
          const foreign = [...leases.values()].some(
            (lease) => lease.owner !== queue.owner && open(model, lease, leases),
          );
          assert.ok(!foreign, 'a former owner still has messages');
          const count = Math.min(one.count, range.end - range.start);
          const id = nextLease;
          nextLease += 1;
          queue.lease(id, range, count, nowMs + 300);
          leases.set(id, {
            start: range.start,
            end: range.start + count,
            owner: queue.owner,
            deadlineMs: nowMs + 300,
          });
          for (let at = range.start; at < range.start + count; at += 1) {
            const was = model[at] as Model;
            assert.ok(
              was.state === 'new' || (was.state === 'retry' && was.dueAtMs <= nowMs),
              `${at} was ${was.state}`,
            );
            model[at] = { state: 'leased', lease: id, dueAtMs: 0 };
          }
        } else settle(queue, model, leases, one, nowMs);
        compare(queue, model);
      }
    }),
    { numRuns: Number(process.env['RUNS'] ?? 1000) },
  );
});

function open(
  model: readonly Model[],
  lease: { start: number; end: number },
  leases: ReadonlyMap<number, unknown>,
): boolean {
  for (let at = lease.start; at < lease.end; at += 1) {
    const one = model[at] as Model;
    if (one.state === 'leased' && leases.get(one.lease) === lease) return true;
  }
  return false;
}

function settle(
  queue: GroupQueue,
  model: Model[],
  leases: ReadonlyMap<number, { start: number; end: number }>,
  one: { kind: 'ack' | 'nack'; pick: number; from: number; count: number },
  nowMs: number,
): void {
  const all = [...leases];
  const picked = all[one.pick % Math.max(1, all.length)];
  if (picked === undefined) return;
  const [id, lease] = picked;
  const start = lease.start + one.from;
  const { parts, attempt } = queue.close(id, start, start + one.count);
  for (const [from, to] of parts) {
    for (let at = from; at < to; at += 1) {
      assert.deepEqual([model[at]?.state, model[at]?.lease], ['leased', id]);
      model[at] =
        one.kind === 'ack'
          ? { state: 'settled', lease: 0, dueAtMs: 0 }
          : { state: 'retry', lease: 0, dueAtMs: nowMs + 100 };
    }
    if (one.kind === 'ack') queue.settle(from, to);
    else
      queue.retry(
        { start: from, end: to, attempt: attempt + 1, dueAtMs: nowMs + 100, reason: '' },
        nowMs,
      );
  }
}

function compare(queue: GroupQueue, model: readonly Model[]): void {
  const count = (state: Model['state']): number =>
    model.filter((one) => one.state === state).length;
  assert.equal(queue.inFlight, count('leased'));
  assert.equal(queue.retries.messages, count('retry'));
  assert.equal(queue.lag(MESSAGES), MESSAGES - count('settled'));
  const firstOpen = model.findIndex((one) => one.state !== 'settled');
  assert.equal(queue.settledThrough, firstOpen === -1 ? MESSAGES : firstOpen);
}

test('no more leases are given than are kept, however small the batches; an ack makes room', () => {
  const messages = 2 * GROUP_QUEUE_LEASES_MAX;
  const queue = new GroupQueue(1, 1, 0, 0);
  queue.assign(1);
  let given = 0;
  for (
    let range = queue.next(messages, 0, ATTEMPTS);
    range !== undefined;
    range = queue.next(messages, 0, ATTEMPTS)
  ) {
    given += 1;
    queue.lease(given, range, 1, 1000);
  }
  assert.equal(given, GROUP_QUEUE_LEASES_MAX);
  queue.close(1, 0, 1);
  queue.settle(0, 1);
  assert.equal(queue.next(messages, 0, ATTEMPTS)?.start, GROUP_QUEUE_LEASES_MAX);
});

test('what has used up its attempts leaves the queue although the group has no member', () => {
  const queue = new GroupQueue(1, 1, 0, 0);
  queue.retry({ start: 0, end: 2, attempt: 4, dueAtMs: 0, reason: 'refused' }, 0);
  assert.equal(queue.next(9, 0, 4), undefined);
  const range = queue.next(9, 0, 3);
  const expected = { start: 0, end: 2, attempt: 4, isRetry: true, reason: 'refused', unread: 0 };
  assert.deepEqual(range, expected);
});
