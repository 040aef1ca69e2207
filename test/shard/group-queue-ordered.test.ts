/** A queue that is consumed in order, against the rule itself: nothing comes before what stands in front of it is settled. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GroupQueue, type Lease } from '../../src/shard/group-queue.ts';

const MESSAGES = 20;

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('deliver' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('ack' as const, 'nack' as const),
      delayMs: fc.integer({ min: 0, max: 300 }),
    }),
  },
  fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 400 }) }),
  fc.record({ kind: fc.constant('assign' as const), owner: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ kind: fc.constant('take-out' as const) }),
);

class Run {
  readonly queue = new GroupQueue(1, 1, 0, 0);
  private readonly settled = new Set<number>();
  private out: { id: number; offset: number } | undefined;
  private dead: number | undefined;
  private nowMs = 0;
  private nextLease = 1;

  get isDone(): boolean {
    return this.settled.size === MESSAGES;
  }

  deliver(): void {
    const range = this.queue.next(MESSAGES, this.nowMs, 1000);
    if (range === undefined) return;
    assert.equal(this.out, undefined, 'another message is out');
    assert.equal(this.dead, undefined, 'a dead letter is not copied yet');
    for (let before = 0; before < range.start; before += 1)
      assert.ok(this.settled.has(before), `${range.start} came before ${before} was settled`);
    assert.ok(!this.settled.has(range.start), 'what is settled came again');
    this.queue.lease(this.nextLease, range, 1, this.nowMs + 200);
    this.out = { id: this.nextLease, offset: range.start };
    this.nextLease += 1;
  }

  settle(isAck: boolean, delayMs: number): void {
    if (this.out === undefined) return;
    const { id, offset } = this.out;
    this.out = undefined;
    const { parts, attempt } = this.queue.close(id, offset, offset + 1);
    assert.equal(parts.length, 1);
    if (isAck) this.done(offset);
    else this.again(offset, attempt, delayMs);
  }

  time(ms: number): void {
    this.nowMs += ms;
    this.end(this.queue.endLeases(this.nowMs));
    if (this.dead !== undefined) this.done(this.dead);
    this.dead = undefined;
  }

  takeOut(): void {
    const range = this.queue.next(MESSAGES, this.nowMs, 0);
    if (range?.isRetry !== true) return;
    this.queue.takeOut(range, range.end - range.start);
    this.dead = range.start;
  }

  private end(leases: readonly Lease[]): void {
    for (const lease of leases) {
      this.out = undefined;
      for (const [start] of lease.open.runs()) this.again(start, lease.attempt, 0);
    }
  }

  private again(start: number, attempt: number, delayMs: number): void {
    const dueAtMs = this.nowMs + delayMs;
    this.queue.retry(
      { start, end: start + 1, attempt: attempt + 1, dueAtMs, reason: '' },
      this.nowMs,
    );
  }

  private done(offset: number): void {
    this.settled.add(offset);
    this.queue.settle(offset, offset + 1);
  }
}

test('one message is out at a time, in order, whatever is refused, late, moved or dead', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const run = new Run();
      run.queue.assign(1, true);
      for (const one of steps) {
        if (one.kind === 'deliver') run.deliver();
        else if (one.kind === 'ack') run.settle(true, 0);
        else if (one.kind === 'nack') run.settle(false, one.delayMs);
        else if (one.kind === 'time') run.time(one.ms);
        else if (one.kind === 'take-out') run.takeOut();
        else if (one.kind === 'assign') run.queue.assign(one.owner, true);
      }
      // Once everybody behaves, all of it is done.
      run.time(1000);
      run.queue.assign(1, true);
      for (let turn = 0; turn < MESSAGES && !run.isDone; turn += 1) {
        run.deliver();
        run.settle(true, 0);
      }
      assert.ok(run.isDone);
      assert.equal(run.queue.settledThrough, MESSAGES);
    }),
    { numRuns: 300 },
  );
});

test('what an unordered life has left behind is put in order', () => {
  const queue = new GroupQueue(1, 1, 0, 0);
  queue.retry({ start: 3, end: 5, attempt: 2, dueAtMs: 0, reason: '' }, 0);
  queue.retry({ start: 1, end: 2, attempt: 2, dueAtMs: 100, reason: '' }, 0);
  queue.assign(1, true);
  const given: number[] = [];
  for (let lease = 1; lease < 20 && given.length < 8; lease += 1) {
    const range = queue.next(8, lease * 10, 1000);
    if (range === undefined) continue;
    given.push(range.start);
    queue.lease(lease, range, 1, 10_000);
    queue.close(lease, range.start, range.start + 1);
    queue.settle(range.start, range.start + 1);
  }
  assert.deepEqual(given, [0, 1, 2, 3, 4, 5, 6, 7]);
});
