/** Dead letters, and such as are sent back, on a disk that does not give some of their batches. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MIB } from '../../src/base/units.ts';
import { emptyEntry } from '../../src/log/entry-table.ts';
import { MemoryStorage } from '../../src/log/memory-storage.ts';
import type { StorageFile } from '../../src/log/storage.ts';
import { storageIoError } from '../../src/log/storage-rules.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import * as envelope from '../../src/protocol/envelope-layout.ts';
import { RIG_CONFIG, type RigReply, rigTopic, ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';

const T = 1;
const LETTERS = 9;
const G = 1;
const SUBSCRIPTION = 3;
const MESSAGES = 40;
const QUEUES = 2;
const BODY_BYTES = 2000;

/** A disk that does not give some bytes of the log. */
class SickStorage extends MemoryStorage {
  /** First bytes of batches that cannot be read. */
  readonly bad: Set<number> = new Set();
  /** Reads of batches that were refused; the shard walks whole segments for their indexes, too. */
  refused = 0;

  override open(name: string, create: boolean): StorageFile {
    const file = super.open(name, create);
    const segment = /^log-(\d+)\.seg$/.exec(name)?.[1];
    if (segment === undefined) return file;
    const read = file.read.bind(file);
    file.read = (into, at) => {
      const start = Number(segment) * RIG_CONFIG.segmentBytes + at;
      for (const position of this.bad)
        if (position >= start && position < start + into.length) {
          if (into.length < 2 * BODY_BYTES) this.refused += 1;
          throw storageIoError('read', name, 'EIO');
        }
      return read(into, at);
    };
    return file;
  }
}

class Lab {
  readonly clock: SimClock = new SimClock();
  readonly disk: SickStorage = new SickStorage(64 * MIB);
  rig: ShardRig;
  readonly replies: RigReply[] = [];
  /** Milliseconds that a side job takes. */
  jobMs = 1;
  private ranMs = 0;

  constructor() {
    this.rig = new ShardRig(this.disk, this.clock);
    this.run(10);
    this.rig.control({ op: 'putTopic', topic: rigTopic(T, 'orders', QUEUES) });
    const group = { groupId: G, group: 'g', maxAttempts: 1, retryBackoffMs: [0] };
    this.rig.control({ op: 'putGroup', group });
    this.run(10);
  }

  run(ms: number): void {
    for (let at = 0; at < ms; at += 1) {
      this.clock.advance(1);
      this.rig.agent.doWork();
      this.rig.flusher.doWork();
      this.ranMs += 1;
      if (this.ranMs % this.jobMs === 0) this.rig.stepJob();
      this.replies.push(...this.rig.take());
    }
  }

  restart(): void {
    this.rig = new ShardRig(this.disk, this.clock);
    this.run(10);
  }

  /** Messages that consumers have refused, and that have left the memory. */
  refuseAll(): void {
    for (let at = 0; at < MESSAGES; at += 1) this.produce(at % QUEUES, `m${at}`);
    this.refuse();
    this.rig.control({ op: 'putTopic', topic: rigTopic(LETTERS, '%DLQ%g', 1, G) });
  }

  produce(queueId: number, name: string): void {
    const body = name.padEnd(BODY_BYTES, '.');
    this.rig.produce(T, queueId, [{ body, bodyKind: BODY_TEXT }]);
    this.run(6);
  }

  /** A consumer comes, refuses what it gets and goes. */
  refuse(): void {
    const { rig } = this;
    rig.control({
      ...{ op: 'attach', subscription: SUBSCRIPTION, groupId: G, topicId: T, filter: null },
      ...{ from: { kind: 'earliest' }, credit: 1000, leaseMs: 600_000 },
    });
    const queues = [0, 1].map((queueId) => [queueId, SUBSCRIPTION] as const);
    rig.control({ op: 'assign', groupId: G, topicId: T, queues });
    this.run(100);
    for (const one of this.replies.splice(0)) {
      if (one.kind !== 'deliver') continue;
      const { firstOffset: offset = 0, count = 0 } = one.extents[0] ?? {};
      const range = { queueId: one.queueId, offset, count, leaseId: one.leaseId };
      rig.settleRange(envelope.SETTLE_NACK, G, T, range, 0, 'no');
    }
    this.run(20);
    rig.control({ op: 'detach', subscription: SUBSCRIPTION });
    this.run(20);
  }

  /** Where the batch of a message is. */
  positionOf(topicId: number, queueId: number, offset: number): number {
    const entry = emptyEntry();
    const queue = this.rig.agent.context.state.queue(topicId, queueId);
    assert.equal(
      queue?.find(offset, entry, () => {}),
      'found',
    );
    return entry.position;
  }

  /** First words of all bodies of a queue. */
  bodies(topicId: number, queueId: number): string[] {
    const bodies: string[] = [];
    for (let offset = 0; ; ) {
      const correlation = this.rig.fetch(topicId, queueId, offset);
      this.run(20);
      const found = this.replies.find(
        (reply) => reply.kind === 'fetched' && reply.correlation === correlation,
      );
      assert.ok(found?.kind === 'fetched', JSON.stringify(this.replies.slice(-3)));
      bodies.push(...found.records.map(({ body }) => body.split('.')[0] as string));
      if (found.next >= found.max) return bodies;
      offset = found.next;
    }
  }

  events(kind: string): RigReply[] {
    return this.replies.filter((reply) => reply.kind === 'event' && reply.event.event === kind);
  }

  redrive(max: number): number {
    return this.rig.control({ op: 'redrive', groupId: G, max });
  }

  redriven(correlation: number): unknown {
    const answer = this.replies.find(
      (reply) => reply.kind === 'control' && reply.correlation === correlation,
    );
    return answer?.kind === 'control' ? answer.result : undefined;
  }

  /** How often each message is in the topic that it came from. */
  copies(): Map<string, number> {
    const times = new Map<string, number>();
    for (let queueId = 0; queueId < QUEUES; queueId += 1)
      for (const body of this.bodies(T, queueId)) times.set(body, (times.get(body) ?? 0) + 1);
    return times;
  }
}

const ALL = Array.from({ length: MESSAGES }, (_, at) => `m${at}`).sort();

test('a dead letter whose batch the disk does not give holds up no other, and comes when it does', () => {
  const lab = new Lab();
  lab.refuseAll();
  lab.disk.bad.add(lab.positionOf(T, 0, 0)).add(lab.positionOf(T, 1, 3));
  lab.run(1000);
  const missing = ['m0', 'm7'];
  assert.deepEqual(
    lab.bodies(LETTERS, 0).sort(),
    ALL.filter((body) => !missing.includes(body)),
  );
  lab.run(59_000);
  // Twice six while the pause grows, then two every five seconds.
  assert.ok(lab.disk.refused < 40, `${lab.disk.refused} reads`);
  assert.deepEqual([lab.events('unreadable').length, lab.events('readable').length], [1, 0]);
  lab.disk.bad.clear();
  lab.run(6000);
  assert.deepEqual(lab.bodies(LETTERS, 0).sort(), ALL);
  assert.deepEqual([lab.events('unreadable').length, lab.events('readable').length], [1, 1]);
});

test('a new dead letter is not behind all those that the disk refuses slowly', () => {
  const lab = new Lab();
  lab.refuseAll();
  for (let queueId = 0; queueId < QUEUES; queueId += 1)
    for (let offset = 0; offset < 12; offset += 1)
      lab.disk.bad.add(lab.positionOf(T, queueId, offset));
  lab.run(10_000);
  // All are due at once, and each takes a second.
  lab.clock.advance(6000);
  lab.jobMs = 1000;
  lab.produce(0, 'new');
  lab.refuse();
  lab.run(2500);
  const letters = lab.bodies(LETTERS, 0);
  assert.deepEqual([letters.length, letters.at(-1)], [MESSAGES - 24 + 1, 'new']);
});

test('a redrive sends back what can be read, each once, whatever ends first', () => {
  const lab = new Lab();
  lab.refuseAll();
  lab.run(1000);
  assert.equal(lab.bodies(LETTERS, 0).length, MESSAGES);
  lab.disk.bad.add(lab.positionOf(LETTERS, 0, 3));
  const first = lab.redrive(10);
  lab.run(500);
  const second = lab.redrive(10);
  lab.run(500);
  const third = lab.redrive(1000);
  lab.run(500);
  assert.deepEqual(
    [first, second, third].map((one) => lab.redriven(one)),
    [undefined, { redriven: 10 }, { redriven: MESSAGES - 20 }],
  );
  const twice = [...lab.copies().values()].filter((count) => count === 2);
  assert.equal(twice.length, MESSAGES - 1);
  // A start knows what was sent back, although it lies behind what was not.
  lab.disk.bad.clear();
  lab.restart();
  const fourth = lab.redrive(1000);
  lab.run(500);
  assert.deepEqual(lab.redriven(fourth), { redriven: 1 });
  const times = lab.copies();
  assert.deepEqual([...times.keys()].sort(), ALL);
  assert.ok(
    [...times.values()].every((count) => count === 2),
    JSON.stringify([...times]),
  );
});
