import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { type LedgerReport, MessageLedger } from '../../src/bench/message-ledger.ts';
import { PagedBitmap } from '../../src/bench/paged-bitmap.ts';

const CLEAN: LedgerReport = { acked: 0, lost: 0, duplicated: 0, reordered: 0, unexpected: 0 };

describe('a ledger', () => {
  it('finds nothing wrong when everything came back once and in order', () => {
    const ledger = new MessageLedger(2, 1);
    for (const producer of [0, 1]) {
      ledger.ack(producer, 0, 1000);
      ledger.see(producer, producer, 0, 400);
      ledger.see(producer, producer, 400, 600);
    }
    assert.deepEqual(ledger.report(), { ...CLEAN, acked: 2000 });
  });

  it('counts what was acknowledged and did not come back', () => {
    const ledger = new MessageLedger(1, 1);
    ledger.ack(0, 0, 100_000);
    ledger.see(0, 0, 0, 65_000);
    ledger.see(0, 0, 65_003, 30_000);
    assert.equal(ledger.report().lost, 3 + 4997);
    const examples = ledger.lostExamples(4).map(({ sequence }) => sequence);
    assert.deepEqual(examples, [65_000, 65_001, 65_002, 95_003]);
  });

  it('does not miss what was never acknowledged', () => {
    const ledger = new MessageLedger(1, 1);
    ledger.ack(0, 0, 10);
    ledger.see(0, 0, 0, 20);
    assert.deepEqual(ledger.report(), { ...CLEAN, acked: 10 });
  });

  it('counts what is stored twice, and what comes late, per producer and queue', () => {
    const ledger = new MessageLedger(2, 1);
    ledger.ack(0, 0, 10);
    ledger.see(0, 0, 0, 5);
    ledger.see(0, 0, 3, 2);
    assert.deepEqual([ledger.report().duplicated, ledger.report().reordered], [2, 1]);
    ledger.see(0, 1, 8, 2);
    ledger.see(0, 1, 6, 2);
    assert.equal(ledger.report().reordered, 2);
    // Another producer's messages in between are nobody's disorder.
    ledger.see(1, 1, 0, 3);
    ledger.see(0, 1, 10, 1);
    assert.equal(ledger.report().reordered, 2);
  });

  it('counts what nobody of this run has sent', () => {
    const ledger = new MessageLedger(1, 1);
    ledger.see(7, 0, 0, 4);
    ledger.seeForeign(1);
    assert.equal(ledger.report().unexpected, 5);
  });

  it('accepts a promise without names when enough came back', () => {
    const ledger = new MessageLedger(1, 1);
    ledger.ackSome(0, 90);
    ledger.see(0, 0, 0, 95);
    assert.deepEqual(ledger.report(), { ...CLEAN, acked: 90 });
    const short = new MessageLedger(1, 1);
    short.ackSome(0, 90);
    short.see(0, 0, 0, 80);
    assert.equal(short.report().lost, 10);
  });

  it('takes over the promises made to another thread', () => {
    const there = new MessageLedger(3, 1);
    there.ack(2, 5, 10);
    const here = new MessageLedger(3, 1);
    here.merge(structuredClone(there.partOf(2)));
    here.see(2, 0, 5, 9);
    assert.deepEqual(here.report(), { ...CLEAN, acked: 10, lost: 1 });
  });
});

describe('a paged bitmap', () => {
  it('is a set of whole numbers', () => {
    const prng = seededPrng(3);
    const bitmap = new PagedBitmap();
    const other = new PagedBitmap();
    const model = new Set<number>();
    const otherModel = new Set<number>();
    for (let round = 0; round < 5000; round += 1) {
      const value = prng.integer(300_000);
      assert.equal(bitmap.add(value), !model.has(value));
      model.add(value);
      const elsewhere = prng.integer(300_000);
      other.add(elsewhere);
      otherModel.add(elsewhere);
    }
    assert.equal(bitmap.count, model.size);
    for (let value = 0; value < 300_000; value += 97)
      assert.equal(bitmap.has(value), model.has(value));
    const missing = [...model].filter((value) => !otherModel.has(value)).length;
    assert.equal(bitmap.countMissingIn(other), missing);
    assert.equal(new PagedBitmap(structuredClone(bitmap.pages)).count, model.size);
  });
});
