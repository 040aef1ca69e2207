/** The state of deferred batches by itself: which of them a copy belongs to, and which rows have a key. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import {
  CONTROL_DROP,
  CONTROL_RELEASE,
  DROP_CANCELLED,
  deferredEntry,
} from '../../src/log/deferred-record.ts';
import * as layout from '../../src/protocol/batch/batch-layout.ts';
import type { DeferredFields } from '../../src/shard/deferred-columns.ts';
import { DeferredState } from '../../src/shard/deferred-state.ts';
import { DeferredTable, NO_ROW } from '../../src/shard/deferred-table.ts';

function fields(origin: number, more: Partial<DeferredFields> = {}): DeferredFields {
  return {
    ...{ origin, position: origin, bytes: 128, payloadCrc: origin, dueAtMs: 10, topicId: 1 },
    ...{ queueId: 0, isHalf: false, count: 1, keyHash: 0, checks: 0 },
    ...more,
  };
}

test('a copy behind one that damage has taken is its own, also when the other one had lost messages', () => {
  const state = new DeferredState();
  state.table.add(fields(64, { count: 2 }));
  state.table.add(fields(256));
  state.applyEntry(CONTROL_DROP, deferredEntry(64, 1, DROP_CANCELLED));
  for (const origin of [64, 256]) state.applyEntry(CONTROL_RELEASE, deferredEntry(origin));
  const copy = new DataView(new ArrayBuffer(layout.STORED_HEADER_BYTES));
  copy.setUint32(layout.STORED_TOPIC_ID, 1, true);
  copy.setUint32(layout.STORED_PAYLOAD_CRC, 256, true);
  state.addCopy(copy, 0);
  assert.equal(state.table.rowOf(256), NO_ROW);
  assert.equal(state.table.first(), state.table.rowOf(64), 'it waits on');
});

test('rows are found by key, and counted by segment, whatever came and went', () => {
  const prng = seededPrng(5);
  const table = new DeferredTable();
  const model = new Map<number, DeferredFields>();
  for (let step = 0; step < 3000; step += 1) {
    const origins = [...model.keys()];
    const picked = origins[prng.integer(Math.max(1, origins.length))];
    if (prng.chance(0.6) || picked === undefined) {
      const count = prng.chance(0.2) ? 3 : 1;
      const one = { topicId: 1 + prng.integer(2), count, keyHash: prng.integer(40) };
      const added = fields(8 * (step + 1), one);
      table.add(added);
      model.set(added.origin, added);
    } else if (prng.chance(0.5)) {
      table.remove(table.rowOf(picked));
      model.delete(picked);
    } else {
      const position = 8 * (3000 + step);
      table.move(table.rowOf(picked), position);
      model.set(picked, { ...(model.get(picked) as DeferredFields), position });
    }
  }
  const all = [...model.values()];
  assert.ok(all.length > 100);
  for (let keyHash = 0; keyHash < 42; keyHash += 1) {
    const found = table.rowsWithKey(2, keyHash).map((row) => table.get(row).origin);
    const expected = all.filter(
      (one) => one.topicId === 2 && (one.count > 1 || one.keyHash === keyHash),
    );
    assert.deepEqual(
      found.toSorted((one, other) => one - other),
      expected.map(({ origin }) => origin).toSorted((one, other) => one - other),
    );
  }
  const bytes = new Map<number, number>();
  for (const { position } of all) {
    const segment = Math.floor(position / 1000);
    bytes.set(segment, (bytes.get(segment) ?? 0) + 128);
  }
  const sorted = (map: ReadonlyMap<number, number>): unknown =>
    [...map].sort(([one], [other]) => one - other);
  assert.deepEqual(sorted(table.bytesBySegment(1000)), sorted(bytes));
  const again = new DeferredTable();
  again.restore(table.image());
  const rowsOf = (one: DeferredTable): unknown =>
    [...one.rows()].map((row) => one.get(row)).sort((left, right) => left.origin - right.origin);
  assert.deepEqual(rowsOf(again), rowsOf(table));
  assert.equal(again.rowsWithKey(1, 7).length, table.rowsWithKey(1, 7).length);
});
