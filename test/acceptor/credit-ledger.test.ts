/** Credit shared out to shards, against shards that are simulated message by message. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CreditLedger, HOLD_COLD, HOLD_READER } from '../../src/acceptor/credit-ledger.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { FLOW_ADD, FLOW_PAUSE, FLOW_RESUME, FLOW_SET } from '../../src/protocol/envelope-layout.ts';

/** A shard as far as flow goes: what it was told arrives late, and so does what it delivers. */
class FlowShard {
  waiting: number;
  credit = 0;
  isPaused = false;
  readonly told: [action: number, credit: number][] = [];
  onTheWay = 0;

  constructor(waiting: number) {
    this.waiting = waiting;
  }

  hear(): void {
    for (const [action, credit] of this.told.splice(0)) {
      if (action === FLOW_ADD) this.credit += credit;
      else if (action === FLOW_SET) this.credit = credit;
      else if (action === FLOW_PAUSE) this.isPaused = true;
      else if (action === FLOW_RESUME) this.isPaused = false;
    }
  }

  deliver(most: number): void {
    if (this.isPaused) return;
    const count = Math.min(most, this.credit, this.waiting);
    this.credit -= count;
    this.waiting -= count;
    this.onTheWay += count;
  }
}

class FlowRig {
  readonly shards: readonly FlowShard[];
  readonly ledger: CreditLedger;
  delivered = 0;
  released = 0;

  constructor(waiting: readonly number[], credit: number) {
    this.shards = waiting.map((count) => new FlowShard(count));
    this.ledger = new CreditLedger(credit, [...waiting.keys()], (shard, action, amount) =>
      this.shards[shard]?.told.push([action, amount]),
    );
    for (const [shard, state] of this.shards.entries()) {
      state.credit = this.ledger.attach(shard);
      this.ledger.attached(shard);
    }
  }

  /** As the acceptor does it. */
  arrive(shard: number): void {
    const state = this.shards[shard] as FlowShard;
    const count = state.onTheWay;
    state.onTheWay = 0;
    if (count === 0) return;
    const { ledger } = this;
    if (ledger.isHeld || ledger.mustYield(shard)) {
      this.giveBack(shard, count);
      return;
    }
    ledger.arrived(shard, count);
    const taken = Math.min(count, ledger.credit);
    ledger.take(taken);
    this.delivered += taken;
    if (taken < count) this.giveBack(shard, count - taken);
    ledger.balance(shard);
  }

  step(most = 1000): void {
    for (const state of this.shards) {
      state.hear();
      state.deliver(most);
    }
    for (const shard of this.shards.keys()) this.arrive(shard);
  }

  private giveBack(shard: number, count: number): void {
    this.ledger.refuse(shard);
    (this.shards[shard] as FlowShard).waiting += count;
    this.released += count;
  }
}

test('all credit is used although only one shard has messages', () => {
  for (const credit of [1, 2, 3, 10, 100]) {
    const rig = new FlowRig([0, 1000, 0, 0], credit);
    for (let step = 0; step < 60; step += 1) rig.step();
    assert.equal(rig.delivered, credit, `credit ${credit}`);
    assert.equal(rig.released, 0);
  }
});

test('with credit of one every shard has its turn', () => {
  const rig = new FlowRig([100, 100, 100], 1);
  for (let turn = 0; turn < 90; turn += 1) {
    for (let step = 0; step < 4; step += 1) rig.step();
    assert.equal(rig.delivered, turn + 1);
    rig.ledger.add(1);
  }
  for (const { waiting } of rig.shards) assert.ok(waiting > 55 && waiting < 85, `${waiting} wait`);
});

test('a hold stops everything, whatever was added meanwhile, and its end starts it', () => {
  const rig = new FlowRig([50, 50], 10);
  rig.ledger.hold(HOLD_READER);
  rig.ledger.hold(HOLD_COLD);
  rig.ledger.add(10);
  for (let step = 0; step < 10; step += 1) rig.step();
  assert.equal(rig.delivered, 0);
  rig.ledger.release(HOLD_READER);
  rig.step();
  assert.equal(rig.delivered, 0);
  rig.ledger.release(HOLD_COLD);
  for (let step = 0; step < 10; step += 1) rig.step();
  assert.equal(rig.delivered, 20);
});

test('credit that is taken away is not used', () => {
  const rig = new FlowRig([50, 50], 10);
  rig.ledger.reduce(8);
  for (let step = 0; step < 10; step += 1) rig.step();
  assert.equal(rig.delivered, 2);
});

test('whatever happens in whatever order, credit is kept exactly and nothing gets stuck', () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const prng = seededPrng(seed);
    const shardCount = 1 + prng.integer(4);
    const waiting = Array.from({ length: shardCount }, () => prng.integer(60));
    const total = waiting.reduce((sum, count) => sum + count, 0);
    let granted = prng.integer(5);
    const rig = new FlowRig(waiting, granted);
    let isHeld = false;
    for (let step = 0; step < 200; step += 1) {
      const shard = prng.integer(shardCount);
      const dice = prng.integer(12);
      if (dice === 0) {
        const more = 1 + prng.integer(6);
        granted += more;
        rig.ledger.add(more);
      } else if (dice === 1) {
        isHeld = !isHeld;
        if (isHeld) rig.ledger.hold(HOLD_READER);
        else rig.ledger.release(HOLD_READER);
      } else if (dice < 5) rig.shards[shard]?.hear();
      else if (dice < 9) rig.shards[shard]?.deliver(1 + prng.integer(8));
      else rig.arrive(shard);
      assert.equal(rig.delivered + rig.ledger.credit, granted, `seed ${seed}`);
    }
    rig.ledger.release(HOLD_READER);
    for (let step = 0; step < 400; step += 1) rig.step(3);
    assert.equal(rig.delivered, Math.min(granted, total), `seed ${seed}: something is stuck`);
  }
});
