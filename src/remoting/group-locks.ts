/**
 * LOCK_BATCH_MQ, UNLOCK_BATCH_MQ: queues that a client of a group consumes in order. The shard of a queue gives its lock; what it
 * said last is remembered here, so that whoever has lost a lock neither pulls nor moves the group.
 *
 * @source RocketMQ RebalanceLockManager, AdminBrokerProcessor
 */
import type { ShardLink } from '../acceptor/shard-link.ts';
import {
  decodeLockBatch,
  encodeLocked,
  type LockBatch,
  type MessageQueueName,
} from '../protocol/remoting/group-bodies-codec.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import type { LockAnswer, QueuePlace, TopicRecord } from '../protocol/shard-control.ts';
import { checkPullable, groupOf } from './group-records.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import type { RemotingRequest } from './remoting-request.ts';

/** Queues in one request to a shard: an answer names the holder of each, which may be a name of 255 characters. */
const QUEUES_PER_REQUEST = 200;

type KnownLock = { readonly holder: string; readonly untilMs: number };
type WantedQueue = { readonly name: MessageQueueName; readonly topic: TopicRecord };

export class GroupLocks {
  private readonly context: RemotingContext;
  /** By group, topic and queue: only held ones, until their lease is over. */
  private readonly known = new Map<string, KnownLock>();

  constructor(context: RemotingContext) {
    this.context = context;
  }

  /** The client that holds a queue, when it is another one than this; undefined: none is known. */
  otherHolder(
    groupId: number,
    topicId: number,
    queueId: number,
    client: string | undefined,
  ): string | undefined {
    if (this.known.size === 0) return undefined;
    const key = keyOf(groupId, topicId, queueId);
    const lock = this.known.get(key);
    if (lock === undefined || lock.holder === client) return undefined;
    if (lock.untilMs > this.context.core.clock.monotonicMs()) return lock.holder;
    this.known.delete(key);
    return undefined;
  }

  /** Does a client hold queues for this group, as far as is known here? */
  holdsAny(groupName: string): boolean {
    const group = this.context.core.groups.records.find(groupName);
    if (group === undefined || this.known.size === 0) return false;
    const prefix = `${group.groupId}.`;
    const nowMs = this.context.core.clock.monotonicMs();
    for (const [key, { untilMs }] of this.known) {
      if (untilMs <= nowMs) this.known.delete(key);
      else if (key.startsWith(prefix)) return true;
    }
    return false;
  }

  get handlers(): HandlerTable {
    return [
      [REQUEST_CODES.LOCK_BATCH_MQ, (request) => this.lock(request)],
      [REQUEST_CODES.UNLOCK_BATCH_MQ, (request) => this.unlock(request)],
    ];
  }

  private async lock(request: RemotingRequest): Promise<void> {
    const batch = read(request);
    const { connection } = request;
    const group = await groupOf(this.context, batch.group);
    checkPullable(this.context, group);
    const known = this.context.clients.clientOf(connection, batch.group);
    const isLetIn =
      known === undefined ||
      this.context.clients.consumerGroup(batch.group)?.member(known.clientId) !== undefined;
    const wanted = isLetIn ? this.wanted(batch) : [];
    const answers = await Promise.all(
      this.byShard(wanted).map(([link, queues]) =>
        inParts(queues, (part) =>
          link.control<{ readonly locks: readonly LockAnswer[] }>({
            ...{ op: 'lockQueues', groupId: group.groupId, client: batch.clientId, queues: part },
          }),
        ),
      ),
    );
    const held = new Set<string>();
    for (const answer of answers.flat().flatMap(({ locks }) => locks)) {
      const key = keyOf(group.groupId, answer.topicId, answer.queueId);
      const untilMs = this.context.core.clock.monotonicMs() + answer.leftMs;
      this.known.set(key, { holder: answer.holder, untilMs });
      if (answer.isHeld) held.add(key);
    }
    const locked = wanted.filter(({ name, topic }) =>
      held.has(keyOf(group.groupId, topic.topicId, name.queueId)),
    );
    request.answer({ body: encodeLocked(locked.map(({ name }) => name)) });
  }

  private async unlock(request: RemotingRequest): Promise<void> {
    const batch = read(request);
    const group = this.context.core.groups.existing(batch.group);
    const wanted = this.wanted(batch);
    for (const { name, topic } of wanted) {
      const key = keyOf(group.groupId, topic.topicId, name.queueId);
      if (this.known.get(key)?.holder === batch.clientId) this.known.delete(key);
    }
    await Promise.all(
      this.byShard(wanted).map(([link, queues]) =>
        inParts(queues, (part) =>
          link.control({
            ...{ op: 'unlockQueues', groupId: group.groupId, client: batch.clientId, queues: part },
          }),
        ),
      ),
    );
    request.answer({});
  }

  /** The queues of a request that there are. */
  private wanted({ queues }: LockBatch): readonly WantedQueue[] {
    return queues.flatMap((name) => {
      const topic = this.context.core.topics.find(name.topic);
      return topic === undefined || name.queueId >= topic.queues ? [] : [{ name, topic }];
    });
  }

  private byShard(wanted: readonly WantedQueue[]): [ShardLink, QueuePlace[]][] {
    const byLink = new Map<ShardLink, QueuePlace[]>();
    for (const { name, topic } of wanted) {
      const link = this.context.core.links.ofQueue(topic.topicId, name.queueId);
      const queues = byLink.get(link) ?? [];
      byLink.set(link, queues);
      queues.push([topic.topicId, name.queueId]);
    }
    return [...byLink];
  }
}

/** One part after the other, so that each answer fits the smallest ring. */
async function inParts<Result>(
  queues: readonly QueuePlace[],
  ask: (part: readonly QueuePlace[]) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (let first = 0; first < queues.length; first += QUEUES_PER_REQUEST)
    results.push(await ask(queues.slice(first, first + QUEUES_PER_REQUEST)));
  return results;
}

/** @throws BAD_FRAME, INVALID_ARGUMENT */
function read(request: RemotingRequest): LockBatch {
  const decoded = decodeLockBatch(request.body);
  if ('refusal' in decoded) throw decoded.refusal;
  return decoded.value;
}

function keyOf(groupId: number, topicId: number, queueId: number): string {
  return `${groupId}.${topicId}.${queueId}`;
}
