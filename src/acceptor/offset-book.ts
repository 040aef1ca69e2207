/**
 * Offsets of groups whose members pull, on their way to the shards: what several say in one moment becomes one request, and a
 * question sees what was said before it. The truth is the shards'; here is only what they have not been told yet, and resets that
 * members have not heard of. Main thread.
 *
 * @source RocketMQ ConsumerOffsetManager
 */

import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import type { Logger } from '../base/log-sink.ts';
import type {
  CommitResult,
  GroupOffset,
  GroupRecord,
  PositionEntry,
  SeekResult,
  StartPoint,
  TopicRecord,
} from '../protocol/shard-control.ts';
import type { Deadlines } from './deadlines.ts';
import { seekGroup } from './group-seek.ts';
import type { ShardLink } from './shard-link.ts';
import type { ShardLinks } from './shard-links.ts';

/** Milliseconds that offsets which nobody waits for are gathered: pulls bring one each. */
const GATHER_MS = 50;
/** Positions in one request to a shard. */
const POSITIONS_AT_ONCE = 256;

/** Somebody waits until an offset of a group and queue is safe. */
type Told = { readonly key: string; readonly tell: (error: SluiceError | undefined) => void };

type Waiting = {
  readonly positions: Map<string, PositionEntry>;
  readonly told: Told[];
  isScheduled: boolean;
};

export type OffsetBookParts = {
  readonly clock: Clock;
  readonly log: Logger;
  readonly links: ShardLinks;
  readonly deadlines: Deadlines;
  /** Has the group members that pull, and so keep offsets of their own? */
  readonly hasPullers: (group: GroupRecord) => boolean;
};

export class OffsetBook {
  private readonly parts: OffsetBookParts;
  private readonly waiting: readonly Waiting[];
  /** Where groups were set to, by queue, until their member pulls there: what it says before is of the time before. */
  private readonly resets = new Map<string, number>();

  constructor(parts: OffsetBookParts) {
    this.parts = parts;
    this.waiting = parts.links.all.map(() => ({
      positions: new Map(),
      told: [],
      isScheduled: false,
    }));
  }

  /**
   * A member says where the group is: kept within moments, and nobody is told.
   *
   * @param entry - with the client, when it is known: one that has lost the queue's lock does not move the group
   */
  note(entry: PositionEntry): void {
    const [groupId, topicId, queueId] = entry;
    if (this.resets.has(keyOf(groupId, topicId, queueId))) return;
    const link = this.parts.links.ofQueue(topicId, queueId);
    const waiting = this.add(link, entry);
    if (waiting.isScheduled) return;
    waiting.isScheduled = true;
    const { clock, deadlines } = this.parts;
    deadlines.add(clock.monotonicMs() + GATHER_MS, () => this.flush(link));
  }

  /** The same, and resolves when it is safe. @throws FORBIDDEN when another client has the lock, and what the shard says */
  commit(entry: PositionEntry): Promise<void> {
    const [groupId, topicId, queueId] = entry;
    const key = keyOf(groupId, topicId, queueId);
    if (this.resets.has(key)) return Promise.resolve();
    const link = this.parts.links.ofQueue(topicId, queueId);
    const waiting = this.add(link, entry);
    return new Promise((resolve, reject) => {
      const tell = (error: SluiceError | undefined): void =>
        error === undefined ? resolve() : reject(error);
      waiting.told.push({ key, tell });
      this.flush(link);
    });
  }

  /** Where the group is. @throws QUEUE_NOT_FOUND, and what the shard says */
  async query(groupId: number, topic: TopicRecord, queueId: number): Promise<GroupOffset> {
    const { topicId } = topic;
    const link = this.parts.links.ofQueue(topicId, queueId);
    // The ring keeps the order: the shard knows what was said before it is asked.
    this.flush(link);
    const found = await link.control<GroupOffset | null>({
      ...{ op: 'groupOffset', groupId, topicId, queueId },
    });
    if (found !== null) return found;
    throw new SluiceError('QUEUE_NOT_FOUND', `the topic ${topic.topic} has no queue ${queueId}`);
  }

  /**
   * Sets a group to offsets. Members that pull go on from where they were; they are told with their next pull.
   *
   * @throws as `seekGroup`
   */
  async reset(
    group: GroupRecord,
    topic: TopicRecord,
    to: StartPoint,
    dryRun: boolean,
  ): Promise<SeekResult> {
    const { links, hasPullers } = this.parts;
    for (const link of links.ofTopic(topic)) this.flush(link);
    const result = await seekGroup(links, group, topic, to, dryRun);
    if (dryRun || !hasPullers(group)) return result;
    for (const { queueId, after } of result.queues)
      this.resets.set(keyOf(group.groupId, topic.topicId, queueId), after);
    return result;
  }

  /** A member pulls: where it must go instead, told once; undefined: it may go on. */
  takeReset(groupId: number, topicId: number, queueId: number): number | undefined {
    if (this.resets.size === 0) return undefined;
    const key = keyOf(groupId, topicId, queueId);
    const offset = this.resets.get(key);
    this.resets.delete(key);
    return offset;
  }

  /** Nobody is left who would have to be told. */
  forgetResets(groupId: number): void {
    const prefix = `${groupId}.`;
    for (const key of this.resets.keys()) if (key.startsWith(prefix)) this.resets.delete(key);
  }

  private add(link: ShardLink, entry: PositionEntry): Waiting {
    const waiting = this.waiting[link.shard] as Waiting;
    const [groupId, topicId, queueId] = entry;
    waiting.positions.set(keyOf(groupId, topicId, queueId), entry);
    return waiting;
  }

  /** Tells the shard what waits for it. */
  private flush(link: ShardLink): void {
    const waiting = this.waiting[link.shard] as Waiting;
    waiting.isScheduled = false;
    if (waiting.positions.size === 0) return;
    const entries = [...waiting.positions.values()];
    const told = waiting.told.splice(0);
    waiting.positions.clear();
    const requests: Promise<CommitResult>[] = [];
    for (let from = 0; from < entries.length; from += POSITIONS_AT_ONCE) {
      const positions = entries.slice(from, from + POSITIONS_AT_ONCE);
      requests.push(link.control<CommitResult>({ op: 'commitOffsets', positions }));
    }
    Promise.all(requests).then(
      (results) => {
        const errors = refusals(results);
        for (const { key, tell } of told) tell(errors.get(key));
      },
      (error: unknown) => this.failed(link, told, error as SluiceError),
    );
  }

  /** Members say it again in a few seconds; what they had consumed since may come again after a crash. */
  private failed(link: ShardLink, told: readonly Told[], error: SluiceError): void {
    if (told.length === 0) this.parts.log.warn('offsets-not-kept', { shard: link.shard, error });
    for (const { tell } of told) tell(error);
  }
}

/** By group, topic and queue, why a position was not set. */
function refusals(results: readonly CommitResult[]): ReadonlyMap<string, SluiceError> {
  const refused = results.flatMap((result) => result.refused ?? []);
  return new Map(
    refused.map(({ groupId, topicId, queueId, holder }) => [
      keyOf(groupId, topicId, queueId),
      new SluiceError('FORBIDDEN', `the queue ${queueId} is locked by ${holder} for this group`),
    ]),
  );
}

function keyOf(groupId: number, topicId: number, queueId: number): string {
  return `${groupId}.${topicId}.${queueId}`;
}
