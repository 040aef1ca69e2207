/** A slave without a master: what it serves, what it keeps, what becomes of it in each way in which a master comes back. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { SETTLED_NAME } from '../../src/log/file-names.ts';
import { GATE_ALONE, GATE_OPEN, GATE_UNDECIDED } from '../../src/log/log-memory.ts';
import {
  encodeSettled,
  encodeSettledRecords,
  readSettled,
  SETTLED_RANGE,
  type SettledFile,
  writeSettled,
} from '../../src/log/settled-file.ts';
import * as envelope from '../../src/protocol/envelope-layout.ts';
import type { SettledPage } from '../../src/protocol/shard-control.ts';
import type { ShardDoor } from '../../src/replication/shard-door.ts';
import type { ShardReplication } from '../../src/shard/shard-config.ts';
import {
  RIG_CONFIG,
  type RigRange,
  type RigReply,
  rigTopic,
  ShardRig,
} from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const T = 1;
const G = 1;
const MESSAGES = 10;
const PLACE = { groupId: G, topicId: T, queueId: 0 };

type Broker = { readonly rig: ShardRig; readonly clock: SimClock; readonly storage: SimStorage };

function broker(role: 'master' | 'slave', storage?: SimStorage, epoch = 1): Broker {
  const clock = new SimClock();
  const disk = storage ?? new SimStorage({ prng: seededPrng(3), clock });
  const replication: ShardReplication = {
    ...{ role, ack: 'ASYNC_MASTER', inSyncReplicas: 2, syncFlushTimeoutMs: 500 },
  };
  const config = { ...RIG_CONFIG, replication };
  return { clock, storage: disk, rig: new ShardRig(disk, clock, config, { epoch, logId: 'log' }) };
}

/** A master with messages and a group, and a slave that has all of it. */
function pair(): { master: Broker; slave: Broker } {
  const master = broker('master');
  const { rig } = master;
  rig.memory.setGate(GATE_OPEN);
  rig.settle();
  rig.control({ op: 'putTopic', topic: rigTopic(T, 'topic', 1) });
  const group = { groupId: G, group: 'g', maxAttempts: 2, retryBackoffMs: [10] };
  rig.control({ op: 'putGroup', group });
  for (let n = 0; n < MESSAGES; n += 1)
    rig.produce(T, 0, [{ body: `m${n}`, bodyKind: 1, key: '', tag: '' }]);
  rig.settle();
  const slave = broker('slave');
  replicate(rig, slave.rig);
  return { master, slave };
}

function replicate(master: ShardRig, slave: ShardRig): void {
  const end = master.memory.flushed.observe();
  for (let position = slave.memory.appended.observe(); position < end; ) {
    const length = master.source.read(position, end);
    assert.ok(typeof length === 'number', `a run at ${position}`);
    while (!(slave.door as ShardDoor).replicate(position, master.source.bytes, 0, length))
      slave.settle();
    position += length;
    slave.settle();
  }
  slave.memory.replicated.publish(master.memory.commit.observe());
  slave.settle();
}

function only<Kind extends RigReply['kind']>(
  replies: readonly RigReply[],
  kind: Kind,
): Extract<RigReply, { kind: Kind }>[] {
  return replies.filter((reply) => reply.kind === kind) as Extract<RigReply, { kind: Kind }>[];
}

/** Subscribes, and gives what is delivered. */
function consume(rig: ShardRig, subscription = 1, credit = 100): RigRange[] {
  rig.control({
    ...{ op: 'attach', subscription, groupId: G, topicId: T, filter: null },
    ...{ from: { kind: 'earliest' }, credit, leaseMs: 10_000 },
  });
  rig.control({ op: 'assign', groupId: G, topicId: T, queues: [[0, subscription]] });
  return only(rig.settle(), 'deliver').map(({ queueId, leaseId, records }) => ({
    ...{ queueId, leaseId, offset: records[0]?.offset ?? -1, count: records.length },
  }));
}

function settle(rig: ShardRig, action: number, ranges: readonly RigRange[]): RigReply[] {
  rig.settleRanges(action, G, T, ranges);
  return rig.settle();
}

function alone(rig: ShardRig): void {
  rig.memory.setGate(GATE_ALONE);
  rig.settle();
}

function kept(storage: SimStorage): SettledFile {
  const file = readSettled(storage);
  assert.ok(typeof file === 'object', 'there is a journal');
  return file;
}

function ask<Answer>(
  rig: ShardRig,
  how: (door: ShardDoor, done: (got: Answer) => void) => void,
): Answer {
  let answer: Answer | undefined;
  how(rig.door as ShardDoor, (got) => {
    answer = got;
  });
  for (let turn = 0; turn < 10 && answer === undefined; turn += 1) {
    rig.settle();
    rig.door?.poll();
  }
  return answer as Answer;
}

const page = (rig: ShardRig): SettledPage => ask(rig, (door, done) => door.settledPage(0, done));

describe('a slave without a master', () => {
  it('serves the groups that it knows, keeps what they settle, and refuses what would be a record', () => {
    const { slave } = pair();
    const { rig, storage } = slave;
    assert.deepEqual(consume(rig), [], 'not as long as it may have one');
    alone(rig);
    const [first, second] = consume(rig, 2) as [RigRange, RigRange];
    assert.equal(only(settle(rig, envelope.SETTLE_ACK, [first, second]), 'settled').length, 1);
    const count = first.count + second.count;
    assert.deepEqual(kept(storage).records, [
      { kind: 2, ...PLACE, start: 0, count: 0 },
      { kind: SETTLED_RANGE, ...PLACE, start: 0, count },
    ]);
    const end = rig.memory.appended.observe();
    rig.control({
      op: 'putGroup',
      group: { groupId: 2, group: 'new', maxAttempts: 2, retryBackoffMs: [] },
    });
    assert.deepEqual(
      only(rig.settle(), 'failed').map(({ code }) => code),
      ['NOT_MASTER'],
    );
    assert.equal(rig.memory.appended.observe(), end, 'its log is its master’s');
  });

  it('answers no ack before the journal has it', () => {
    const { slave } = pair();
    alone(slave.rig);
    const [first] = consume(slave.rig) as [RigRange];
    slave.rig.settleRanges(envelope.SETTLE_ACK, G, T, [first]);
    for (let cycle = 0; cycle < 5; cycle += 1) slave.rig.agent.doWork();
    assert.deepEqual(only(slave.rig.take(), 'settled'), []);
    assert.equal(only(slave.rig.settle(), 'settled').length, 1);
  });

  it('knows after a restart what was settled, how far it may show, and gives leases of other numbers', () => {
    const { slave } = pair();
    alone(slave.rig);
    const given = consume(slave.rig);
    settle(slave.rig, envelope.SETTLE_ACK, given.slice(0, 4));
    slave.storage.crash(seededPrng(9));
    const again = broker('slave', slave.storage);
    alone(again.rig);
    const left = consume(again.rig);
    assert.equal(left[0]?.offset, given[4]?.offset);
    assert.equal(left.length, given.length - 4);
    const leases = new Set(given.map(({ leaseId }) => leaseId));
    assert.ok(left.every(({ leaseId }) => !leases.has(leaseId)));
  });

  it('holds back what is over its attempts, and goes on with the rest', () => {
    const { slave } = pair();
    alone(slave.rig);
    let given = consume(slave.rig);
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      slave.rig.settleRanges(envelope.SETTLE_NACK, G, T, [given[0] as RigRange], 0);
      given = only(slave.rig.settle(), 'deliver').map(({ queueId, leaseId, records }) => ({
        ...{ queueId, leaseId, offset: records[0]?.offset ?? -1, count: records.length },
      }));
      if (attempt === 1) assert.equal(given.length, 1, 'it comes a second time');
    }
    assert.deepEqual(given, [], 'and not a third time');
    const one = slave.rig.agent.context.state.groupQueue(G, T, 0);
    assert.equal(one?.settledThrough, 0);
  });

  it('takes nothing more when its disk refuses the journal', () => {
    const { slave } = pair();
    alone(slave.rig);
    const [first, second] = consume(slave.rig) as [RigRange, RigRange];
    slave.storage.faults.errorChance.write = 1;
    slave.rig.settleRanges(envelope.SETTLE_ACK, G, T, [first]);
    const [failed] = only(slave.rig.settle(), 'failed');
    assert.equal(failed?.code, 'STORAGE_IO');
    slave.storage.faults.clear();
    assert.equal(only(settle(slave.rig, envelope.SETTLE_ACK, [second]), 'settled').length, 0);
  });
});

describe('when a master is there again', () => {
  it('takes what was settled into its log, and the journal is emptied once that has come back', () => {
    const { master, slave } = pair();
    alone(slave.rig);
    const given = consume(slave.rig);
    settle(slave.rig, envelope.SETTLE_ACK, given.slice(0, 6));
    slave.rig.memory.setGate(GATE_UNDECIDED);
    const { records, isLast } = page(slave.rig);
    assert.equal(isLast, true);
    assert.equal(only(settle(slave.rig, envelope.SETTLE_ACK, given.slice(6)), 'failed').length, 1);
    const end = ask<number>(master.rig, (door, done) => door.takeSettled(records, done));
    assert.equal(master.rig.agent.context.state.groupQueue(G, T, 0)?.settledThrough, 6);
    slave.rig.door?.settledLogged(end);
    slave.rig.settle();
    assert.ok(kept(slave.storage).records.length > 0, 'its own log has it not yet');
    replicate(master.rig, slave.rig);
    assert.deepEqual(kept(slave.storage).records, []);
    assert.equal(slave.rig.agent.context.state.groupQueue(G, T, 0)?.settledThrough, 6);
  });

  it('believes no confirmation of a stream that has ended', () => {
    const { master, slave } = pair();
    alone(slave.rig);
    settle(slave.rig, envelope.SETTLE_ACK, consume(slave.rig).slice(0, 2));
    slave.rig.memory.setGate(GATE_UNDECIDED);
    page(slave.rig);
    slave.rig.door?.settledLogged(master.rig.memory.flushed.observe() + 8);
    slave.rig.settle();
    // Another stream, to a master that was not told.
    page(slave.rig);
    master.rig.produce(T, 0, [{ body: 'more', bodyKind: 1, key: '', tag: '' }]);
    master.rig.settle();
    replicate(master.rig, slave.rig);
    assert.ok(kept(slave.storage).records.length > 0);
  });

  it('delivers to groups only when its slaves were heard, and takes the same twice as once', () => {
    const { master } = pair();
    const records = [{ kind: SETTLED_RANGE, ...PLACE, start: 0, count: 3 }];
    const position = { kind: 2, ...PLACE, start: 0, count: 0 };
    const all = [position, ...records, ...records];
    ask<number>(master.rig, (door, done) => door.takeSettled(all, done));
    assert.deepEqual(consume(master.rig), []);
    master.rig.door?.slavesHeard();
    const given = only(master.rig.settle(), 'deliver');
    assert.equal(given[0]?.records[0]?.offset, 3);
    const beyond = [{ kind: SETTLED_RANGE, ...PLACE, start: 5, count: 1000 }];
    ask<number>(master.rig, (door, done) => door.takeSettled(beyond, done));
    const one = master.rig.agent.context.state.groupQueue(G, T, 0);
    assert.deepEqual(one?.settled.runs(), [[5, MESSAGES]], 'never what is not there yet');
  });

  it('is the slave itself, promoted: its journal becomes a part of its log', () => {
    const { slave } = pair();
    alone(slave.rig);
    settle(slave.rig, envelope.SETTLE_ACK, consume(slave.rig).slice(0, 5));
    slave.rig.flusher.close();
    slave.storage.kill();
    const promoted = broker('master', slave.storage, 2);
    promoted.rig.memory.setGate(GATE_OPEN);
    promoted.rig.settle();
    assert.deepEqual(kept(promoted.storage).records, []);
    const follower = broker('slave');
    replicate(promoted.rig, follower.rig);
    assert.equal(follower.rig.agent.context.state.groupQueue(G, T, 0)?.settledThrough, 5);
  });
});

describe('a journal at a start', () => {
  it('loses what is above the end of its log, for good', () => {
    const { slave } = pair();
    const records = [{ kind: SETTLED_RANGE, ...PLACE, start: MESSAGES - 1, count: 5 }];
    writeSettled(slave.storage, encodeSettled({ period: 1, commit: 1e9, logId: 'log' }, records));
    slave.rig.flusher.close();
    slave.storage.kill();
    broker('slave', slave.storage);
    assert.deepEqual(kept(slave.storage).records, [
      { kind: SETTLED_RANGE, ...PLACE, start: MESSAGES - 1, count: 1 },
    ]);
    writeSettled(slave.storage, encodeSettled({ period: 1, commit: 0, logId: 'other' }, records));
    broker('slave', slave.storage);
    assert.deepEqual(kept(slave.storage).records, [], 'that is of another log');
  });

  it('takes each record that is whole, and none of a file that was there before', () => {
    const { slave } = pair();
    const record = (start: number) => ({ kind: SETTLED_RANGE, ...PLACE, start, count: 1 });
    const whole = encodeSettled({ period: 7, commit: 0, logId: 'log' }, [record(0), record(2)]);
    whole[whole.length - 1] = 1;
    const late = encodeSettledRecords([record(4)], 2, 6);
    const torn = encodeSettledRecords([record(6)], 3, 7);
    writeSettled(slave.storage, Buffer.concat([whole, late, torn, torn.subarray(0, 11)]));
    const file = kept(slave.storage);
    assert.deepEqual(
      file.records.map(({ start }) => start),
      [0, 6],
    );
    assert.equal(file.lostRecords, 3);
    slave.rig.flusher.close();
    slave.storage.kill();
    broker('slave', slave.storage);
    assert.equal(kept(slave.storage).lostRecords, 0);
    assert.ok(slave.storage.exists(SETTLED_NAME));
  });
});
