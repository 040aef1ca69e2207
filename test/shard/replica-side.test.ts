/** A shard whose log others hold: what it refuses, what it waits for, what a slave takes over. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { KIB, MIB } from '../../src/base/units.ts';
import { GATE_FENCED, GATE_NO_SLAVE, GATE_OPEN } from '../../src/log/log-memory.ts';
import { snapshotPositions } from '../../src/log/snapshot.ts';
import { DURABILITY_REPLICATED } from '../../src/protocol/envelope-layout.ts';
import type { ShardDoor } from '../../src/replication/shard-door.ts';
import type { ShardReplication } from '../../src/shard/shard-config.ts';
import { RIG_CONFIG, type RigReply, rigTopic, ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const ALONE = 300;
const BODY = [{ body: 'hello', bodyKind: 1, key: 'k', tag: '' }] as const;

type Broker = { readonly rig: ShardRig; readonly clock: SimClock; readonly storage: SimStorage };

function broker(
  role: 'master' | 'slave',
  options: { storage?: SimStorage; epoch?: number; ack?: ShardReplication['ack'] } = {},
): Broker {
  const clock = new SimClock();
  const storage = options.storage ?? new SimStorage({ prng: seededPrng(3), clock });
  const replication: ShardReplication = {
    ...{ role, ack: options.ack ?? 'SYNC_MASTER', inSyncReplicas: 2, syncFlushTimeoutMs: ALONE },
  };
  const reign = { epoch: options.epoch ?? 1, logId: 'log' };
  return {
    clock,
    storage,
    rig: new ShardRig(storage, clock, { ...RIG_CONFIG, replication }, reign),
  };
}

/** A synchronous master with a topic, whose slave has everything so far. */
function openMaster(): Broker {
  const made = broker('master');
  made.rig.memory.setGate(GATE_OPEN);
  made.rig.settle();
  made.rig.control({ op: 'putTopic', topic: rigTopic(1, 'topic', 1) });
  made.rig.control({
    op: 'putGroup',
    group: { groupId: 1, group: 'g', maxAttempts: 3, retryBackoffMs: [10] },
  });
  made.rig.settle();
  confirm(made.rig);
  made.rig.settle();
  return made;
}

/** A slave says that it has everything. */
function confirm(rig: ShardRig): void {
  rig.memory.replicated.publish(rig.memory.flushed.observe());
}

/** Hands the master's log to the slave as replication does. */
function replicate(master: ShardRig, slave: ShardRig): RigReply[] {
  const replies: RigReply[] = [];
  const end = master.memory.flushed.observe();
  for (let position = slave.memory.appended.observe(); position < end; ) {
    const length = master.source.read(position, end);
    assert.ok(typeof length === 'number', `a run at ${position}`);
    const door = slave.door as ShardDoor;
    while (!door.replicate(position, master.source.bytes, 0, length))
      replies.push(...slave.settle());
    position += length;
    replies.push(...slave.settle());
  }
  return replies;
}

function only<Kind extends RigReply['kind']>(
  replies: readonly RigReply[],
  kind: Kind,
): Extract<RigReply, { kind: Kind }>[] {
  return replies.filter((reply) => reply.kind === kind) as Extract<RigReply, { kind: Kind }>[];
}

/** A broker whose disk had no room for a segment, and has it now. */
function brokerOnceFull(role: 'master' | 'slave'): Broker {
  const clock = new SimClock();
  const storage = new SimStorage({ prng: seededPrng(3), clock, capacityBytes: 100 * KIB });
  const made = broker(role, { storage });
  made.rig.settle();
  assert.equal(made.rig.agent.context.refusal?.code, 'STORAGE_FULL');
  storage.setCapacity(64 * MIB);
  made.clock.advance(1000);
  made.rig.settle();
  return made;
}

describe('a synchronous master', () => {
  it('writes no snapshot of what no slave has confirmed', () => {
    const { rig, clock, storage } = openMaster();
    rig.produce(1, 0, BODY);
    rig.agent.keeper.snapshotSoon();
    clock.advance(60_000);
    rig.settle();
    const { flushed, commit } = rig.memory;
    assert.ok(flushed.observe() > commit.observe(), 'it is on this disk alone');
    assert.deepEqual(snapshotPositions(storage), []);
    confirm(rig);
    rig.settle();
    assert.deepEqual(snapshotPositions(storage), [flushed.observe()]);
  });

  it('appends nothing before replication has decided, not even its boot', () => {
    const { rig } = broker('master');
    rig.settle();
    assert.equal(rig.memory.appended.observe(), 0);
    rig.control({ op: 'putTopic', topic: rigTopic(1, 'topic', 1) });
    rig.produce(1, 0, BODY);
    const codes = only(rig.settle(), 'failed').map(({ code }) => code);
    assert.deepEqual(codes, ['SLAVE_NOT_AVAILABLE', 'SLAVE_NOT_AVAILABLE']);
    assert.equal(rig.memory.appended.observe(), 0);
    rig.memory.setGate(GATE_OPEN);
    rig.settle();
    assert.ok(rig.memory.appended.observe() > 0);
  });

  it('acknowledges when a slave has it, and says so in the receipt', () => {
    const { rig } = openMaster();
    rig.produce(1, 0, BODY);
    assert.deepEqual(only(rig.settle(20), 'produced'), []);
    assert.ok(rig.memory.commit.observe() < rig.memory.flushed.observe());
    confirm(rig);
    const [receipt] = only(rig.settle(), 'produced');
    assert.equal(receipt?.durability, DURABILITY_REPLICATED);
  });

  it('refuses before it stores when too few slaves are near', () => {
    const { rig } = openMaster();
    rig.memory.setGate(GATE_NO_SLAVE);
    rig.settle();
    const before = rig.memory.appended.observe();
    rig.produce(1, 0, BODY);
    assert.equal(only(rig.settle(), 'failed')[0]?.code, 'SLAVE_NOT_AVAILABLE');
    assert.equal(rig.memory.appended.observe(), before);
    rig.memory.setGate(GATE_OPEN);
    rig.produce(1, 0, BODY);
    rig.settle(5);
    assert.ok(rig.memory.appended.observe() > before);
  });

  it('takes nothing before it has compared, also after its disk was full', () => {
    const { rig } = brokerOnceFull('master');
    rig.produce(1, 0, [...BODY]);
    assert.equal(only(rig.settle(), 'failed')[0]?.code, 'SLAVE_NOT_AVAILABLE');
    assert.equal(rig.agent.context.log.appended, 0);
  });

  it('says that the outcome is unknown when no slave confirms in time, and shows the message when one does', () => {
    const { rig, clock } = openMaster();
    rig.produce(1, 0, BODY);
    rig.settle(10);
    clock.advance(ALONE + 1);
    assert.equal(only(rig.settle(), 'failed')[0]?.code, 'FLUSH_SLAVE_TIMEOUT');
    rig.fetch(1, 0, 0);
    assert.equal(only(rig.settle(), 'fetched')[0]?.records.length, 0);
    confirm(rig);
    assert.deepEqual(only(rig.settle(), 'produced'), []);
    rig.fetch(1, 0, 0);
    assert.equal(only(rig.settle(), 'fetched')[0]?.records.length, 1);
  });

  it('takes nothing more once another reigns, and confirms nothing either', () => {
    const { rig } = openMaster();
    rig.produce(1, 0, BODY);
    rig.settle(10);
    rig.memory.setGate(GATE_FENCED);
    assert.equal(only(rig.settle(), 'failed')[0]?.code, 'SHARD_FENCED');
    rig.produce(1, 0, BODY);
    assert.equal(only(rig.settle(), 'failed')[0]?.code, 'NOT_MASTER');
    confirm(rig);
    assert.deepEqual(only(rig.settle(), 'produced'), []);
  });
});

describe('a slave', () => {
  it('has the same bytes, tells of topics and groups, and refuses what would write', () => {
    const master = openMaster();
    master.rig.produce(1, 0, BODY);
    master.rig.settle(20);
    const slave = broker('slave');
    const events = only(replicate(master.rig, slave.rig), 'event').map(({ event }) => event);
    assert.deepEqual(
      events.map((event) =>
        event.event === 'metadata' && 'put' in event.change ? event.change.put : '',
      ),
      ['topic', 'group'],
    );
    assert.equal(slave.rig.memory.appended.observe(), master.rig.memory.appended.observe());
    slave.rig.produce(1, 0, BODY);
    slave.rig.control({ op: 'putTopic', topic: rigTopic(2, 'other', 1) });
    slave.rig.control({ op: 'deleteTopic', topicId: 1 });
    slave.rig.settleRange(1, 1, 1, { queueId: 0, offset: 0, count: 1, leaseId: 1 });
    const codes = only(slave.rig.settle(), 'failed').map(({ code }) => code);
    assert.deepEqual(codes, ['NOT_MASTER', 'NOT_MASTER', 'NOT_MASTER', 'NOT_MASTER']);
    assert.equal(slave.rig.memory.appended.observe(), master.rig.memory.appended.observe());
  });

  it('takes nothing of its own, also after its disk was full', () => {
    const master = openMaster();
    const slave = brokerOnceFull('slave');
    replicate(master.rig, slave.rig);
    const end = slave.rig.agent.context.log.appended;
    slave.rig.produce(1, 0, [...BODY]);
    assert.equal(only(slave.rig.settle(), 'failed')[0]?.code, 'NOT_MASTER');
    assert.equal(slave.rig.agent.context.log.appended, end);
  });

  it('shows nothing that its master has not confirmed', () => {
    const master = openMaster();
    master.rig.produce(1, 0, BODY);
    master.rig.settle(20);
    const slave = broker('slave');
    replicate(master.rig, slave.rig);
    slave.rig.fetch(1, 0, 0);
    assert.equal(only(slave.rig.settle(), 'fetched')[0]?.records.length, 0);
    slave.rig.memory.replicated.publish(master.rig.memory.flushed.observe());
    slave.rig.settle();
    slave.rig.fetch(1, 0, 0);
    assert.equal(only(slave.rig.settle(), 'fetched')[0]?.records[0]?.body, 'hello');
  });

  it('goes on with the log under a new epoch when it is promoted, and knows what producers have sent', () => {
    const master = openMaster();
    const producer = { id: 'p', epoch: 0, sequence: 0 };
    master.rig.produce(1, 0, BODY, producer);
    master.rig.settle(20);
    const slave = broker('slave');
    replicate(master.rig, slave.rig);
    slave.rig.flusher.close();
    slave.storage.kill();
    const end = master.rig.memory.appended.observe();
    const promoted = broker('master', { storage: slave.storage, epoch: 2, ack: 'ASYNC_MASTER' });
    promoted.rig.settle();
    promoted.rig.produce(1, 0, BODY, producer);
    assert.equal(only(promoted.rig.settle(), 'produced')[0]?.isDuplicate, true);
    assert.deepEqual(promoted.rig.agent.context.state.epochs, [
      { epoch: 1, first: 0 },
      { epoch: 2, first: end },
    ]);
    assert.equal(promoted.rig.agent.context.state.logId, 'log');
  });
});
