/** Rows of deferred batches in a snapshot: as they are written now, and as version 2 wrote them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeferredFields } from '../../src/shard/deferred-columns.ts';
import { decodeNumbers, decodeRows } from '../../src/shard/deferred-rows.ts';
import { DeferredState } from '../../src/shard/deferred-state.ts';
import { DeferredTable } from '../../src/shard/deferred-table.ts';

const rowOf = (number: number): DeferredFields => ({
  ...{ origin: number * 2 ** 33, position: number * 2 ** 33 + 64, bytes: 128 + number },
  ...{ payloadCrc: 0xffff_ffff - number, dueAtMs: number === 3 ? Infinity : 1.7e12 + number },
  ...{ topicId: 7, queueId: number % 64, isHalf: number % 2 === 1, count: 1 + number },
  ...{ keyHash: number * 1000, checks: number % 5 },
});

test('rows come back as they were, also when others between them are gone', () => {
  const table = new DeferredTable();
  for (let number = 1; number <= 200; number += 1) table.add(rowOf(number));
  for (let number = 2; number <= 200; number += 3) table.remove(table.rowOf(rowOf(number).origin));
  const found: DeferredFields[] = [];
  decodeRows(table.image(), (fields) => found.push(fields));
  const kept = Array.from({ length: 200 }, (_, index) => index + 1).filter((n) => n % 3 !== 2);
  assert.deepEqual(found, kept.map(rowOf));
  assert.equal(new DeferredTable().image().length, 0);
});

test('a snapshot of version 2 has them in its JSON, and they are read', () => {
  const rows = [rowOf(1), rowOf(2)];
  const numbers = rows.flatMap((row) => [
    ...[row.origin, row.position, row.bytes, row.payloadCrc, row.dueAtMs, row.topicId],
    ...[row.queueId, row.isHalf ? 1 : 0, row.count, row.keyHash, row.checks],
  ]);
  const image = Buffer.from(Float64Array.from(numbers).buffer).toString('base64');
  const found: DeferredFields[] = [];
  decodeNumbers(image, (fields) => found.push(fields));
  assert.deepEqual(found, rows);
  const state = new DeferredState();
  const nothing = { announced: [], dropped: [], cancelled: [] } as const;
  state.restore({ rows: image, ...nothing }, new Uint8Array(0));
  assert.equal(state.table.size, 2);
});
