/** Messages that wait to come again, against a model that keeps a row for every message; and how much is left of what is over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import type { RangeSet } from '../../src/base/range-set.ts';
import { GroupQueue } from '../../src/shard/group-queue.ts';
import { RetryQueue } from '../../src/shard/retry-queue.ts';

const MESSAGES = 4000;
type Row = { readonly attempt: number; readonly dueAtMs: number; readonly isDue: boolean };

test('thousands wait, are taken, forgotten in part and put back: each is there once, the due ones in order', () => {
  const prng = seededPrng(11);
  const number = (below: number): number => prng.integer(below);
  for (let round = 0; round < 3; round += 1) {
    const queue = new RetryQueue();
    const model: (Row | undefined)[] = Array.from({ length: MESSAGES }, () => undefined);
    let nowMs = 0;
    const become = (isDueAt: number): void => {
      model.forEach((row, at) => {
        if (row !== undefined && row.dueAtMs <= isDueAt) model[at] = { ...row, isDue: true };
      });
    };
    const put = (start: number, end: number): void => {
      const row = { attempt: number(5), dueAtMs: nowMs + number(4) * 10, isDue: false };
      queue.push({ start, end, ...row, reason: '' }, nowMs);
      for (let at = start; at < end; at += 1) model[at] = { ...row, isDue: row.dueAtMs <= nowMs };
    };
    for (let at = 0; at < MESSAGES; ) {
      const end = Math.min(MESSAGES, at + 1 + number(3));
      put(at, end);
      at = end;
    }
    for (let step = 0; step < 3000; step += 1) {
      const kind = number(4);
      if (kind === 0) nowMs += number(8);
      else if (kind === 1) {
        const first = queue.peek(nowMs);
        become(nowMs);
        const expected = model.findIndex((row) => row?.isDue === true);
        assert.equal(first?.start ?? -1, expected);
        if (first === undefined) continue;
        const count = 1 + number(first.end - first.start);
        const { start } = first;
        queue.take(count);
        model.fill(undefined, start, start + count);
      } else if (kind === 2) {
        const start = number(MESSAGES);
        const end = start + number(12);
        queue.remove(start, end);
        model.fill(undefined, start, Math.min(end, MESSAGES));
      } else {
        const start = number(MESSAGES);
        let end = start;
        while (end < Math.min(start + 3, MESSAGES) && model[end] === undefined) end += 1;
        if (end > start) put(start, end);
      }
    }
    const kept = model.flatMap((row, at) => (row === undefined ? [] : [`${at} ${row.attempt}`]));
    const found = queue
      .entries()
      .flatMap(({ start, end, attempt }) =>
        Array.from({ length: end - start }, (_, index) => `${start + index} ${attempt}`),
      );
    assert.deepEqual(found, kept);
    assert.equal(queue.messages, kept.length);
    assert.equal(queue.firstStart(), model.findIndex(Boolean));
    const later = model.filter((row) => row?.isDue === false).map((row) => row?.dueAtMs ?? 0);
    assert.equal(queue.nextDueAtMs(), Math.min(...later));
  }
});

test('a follower remembers nothing of messages that are settled, however many were retried', () => {
  const queue = new GroupQueue(1, 1, 0, 0);
  for (let at = 0; at < 2000; at += 2) {
    queue.retry({ start: at, end: at + 1, attempt: 2, dueAtMs: 5, reason: '' }, 0);
    queue.retries.remove(at, at + 1);
    queue.settle(at, at + 2);
  }
  assert.equal(queue.settledThrough, 2000);
  assert.equal((Reflect.get(queue, 'gaps') as RangeSet).size, 0);
});
