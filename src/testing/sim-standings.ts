/**
 * What a scripted run has said about groups that pull: where they are, and who holds their queues. After a recovery each must be
 * as it was last confirmed, or as something said later that was never answered.
 */
import type { LockAnswer } from '../protocol/shard-control.ts';
import { SimViolation } from './sim-invariants.ts';
import type { SimTopic, World } from './sim-world.ts';

/** A group that no member of the run is in. */
const GROUP_ID = 900;
const NOBODY = '';

/** Something that was said: confirmed, and what came after it without an answer. */
class Standing<Value> {
  private safe: Value;
  private later: { readonly value: Value }[] = [];

  constructor(value: Value) {
    this.safe = value;
  }

  /** @returns call it when the shard has confirmed it */
  say(value: Value): () => void {
    const said = { value };
    this.later.push(said);
    return () => {
      const index = this.later.indexOf(said);
      if (index < 0) return;
      this.later = this.later.slice(index + 1);
      this.safe = value;
    };
  }

  isPossible(value: Value): boolean {
    return value === this.safe || this.later.some((said) => said.value === value);
  }

  get text(): string {
    return [this.safe, ...this.later.map(({ value }) => value)].join(' or ');
  }
}

export class SimStandings {
  private readonly world: World;
  private readonly offsets = new Map<string, Standing<number | null>>();
  private readonly holders = new Map<string, Standing<string>>();
  private readonly queues = new Map<string, { topic: SimTopic; q: number }>();

  constructor(world: World) {
    this.world = world;
  }

  /** A member says where the group is. */
  commit(topic: SimTopic, q: number, offset: number): void {
    this.create();
    const queue = this.world.rig.agent.context.state.queue(topic.topicId, q);
    if (queue === undefined) return;
    // Nobody stands behind the end; after an error it may lie before what the script means to have sent.
    const there = Math.min(offset, queue.endOffset);
    const confirm = this.standing(this.offsets, topic, q, null).say(there);
    const positions = [[GROUP_ID, topic.topicId, q, there]] as const;
    this.world.control({ op: 'commitOffsets', positions }, (answer) => {
      if (answer?.kind === 'control') confirm();
    });
  }

  /** A client asks for the lock of a queue, and must have it when nobody else has. */
  lock(topic: SimTopic, q: number, client: string): void {
    this.create();
    const confirm = this.standing(this.holders, topic, q, NOBODY).say(client);
    const queues = [[topic.topicId, q]] as const;
    this.world.control({ op: 'lockQueues', groupId: GROUP_ID, client, queues }, (answer) => {
      if (answer?.kind !== 'control') return;
      const [lock] = (answer.result as { locks: readonly LockAnswer[] }).locks;
      if (lock?.isHeld === true) confirm();
    });
  }

  unlock(topic: SimTopic, q: number, client: string): void {
    const confirm = this.standing(this.holders, topic, q, NOBODY).say(NOBODY);
    const queues = [[topic.topicId, q]] as const;
    this.world.control({ op: 'unlockQueues', groupId: GROUP_ID, client, queues }, (answer) => {
      if (answer?.kind === 'control') confirm();
    });
  }

  /** After a recovery. @throws SimViolation */
  check(): void {
    const { state } = this.world.rig.agent.context;
    // A group that the log does not have yet was never confirmed, nor what was said for it.
    const locks = state.locks.records().filter(({ groupId }) => groupId === GROUP_ID);
    for (const [key, { topic, q }] of this.queues) {
      if (topic.state !== 'live') continue;
      const offset = state.groupQueue(GROUP_ID, topic.topicId, q)?.settledThrough ?? null;
      const holder =
        locks.find((one) => one.topicId === topic.topicId && one.queueId === q)?.holder ?? NOBODY;
      this.compare(this.offsets.get(key), offset, `the offset of ${key}`);
      this.compare(this.holders.get(key), holder, `the holder of ${key}`);
    }
  }

  private compare<Value>(standing: Standing<Value> | undefined, found: Value, what: string): void {
    if (standing === undefined || standing.isPossible(found)) return;
    throw new SimViolation(`${what} is ${String(found)}, but must be ${standing.text}`);
  }

  private standing<Value>(
    table: Map<string, Standing<Value>>,
    topic: SimTopic,
    q: number,
    first: Value,
  ): Standing<Value> {
    const key = `${topic.name}/${q}`;
    this.queues.set(key, { topic, q });
    const found = table.get(key) ?? new Standing(first);
    table.set(key, found);
    return found;
  }

  /** An error of the disk may have kept the group, or the topic, from coming into being. */
  private create(): void {
    if (this.world.rig.agent.context.state.groups.has(GROUP_ID)) return;
    const group = { groupId: GROUP_ID, group: 'pulls', maxAttempts: 3, retryBackoffMs: [1] };
    this.world.control({ op: 'putGroup', group }, () => {});
  }
}
