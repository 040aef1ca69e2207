/**
 * Topics and groups of a simulated run as clients know them: asked for, confirmed, deleted. After each restart the shard
 * says what it remembers, and what was confirmed must be there, what was confirmed as deleted must not.
 */
import { DEAD_LETTER_PREFIX } from '../base/names.ts';
import type { GroupRecord, TopicRecord } from '../protocol/shard-control.ts';
import type { SimGroup } from './sim-groups.ts';
import { SimViolation } from './sim-invariants.ts';
import type { SimTopic, World } from './sim-world.ts';

export type TopicPlan = Pick<TopicRecord, 'retentionMs' | 'retentionBytes' | 'whenFull'>;

export const KEEP_ALL: TopicPlan = { retentionMs: null, retentionBytes: null, whenFull: 'refuse' };

export class SimTopics {
  private readonly world: World;
  private readonly groupsKnown = new Set<number>();

  constructor(world: World) {
    this.world = world;
  }

  /** Asks for a topic. @returns undefined when the ring was full */
  create(
    name: string,
    queues: number,
    writers: SimTopic['writers'],
    plan: TopicPlan = KEEP_ALL,
    deadLetterOf: number | null = null,
  ): SimTopic {
    const { world } = this;
    world.topicIdMax += 1;
    const topicId = world.topicIdMax;
    const record: TopicRecord = { topicId, topic: name, queues, ...plan, deadLetterOf };
    const topic: SimTopic = { record, name, topicId, writers, state: 'asked', isConfirmed: false };
    world.topics.push(topic);
    this.ask(topic);
    return topic;
  }

  /** Asks once more for what was never confirmed: the same record with the same id. */
  ask(topic: SimTopic): void {
    this.world.control({ op: 'putTopic', topic: topic.record }, (answer) => {
      if (answer?.kind !== 'control' || topic.state !== 'asked') return;
      topic.state = 'live';
      topic.isConfirmed = true;
    });
  }

  remove(topic: SimTopic): void {
    if (topic.state !== 'live') return;
    const isSent = this.world.control({ op: 'deleteTopic', topicId: topic.topicId }, (answer) => {
      if (answer?.kind !== 'control') return;
      topic.state = 'gone';
      this.world.counts.topicsDeleted += 1;
    });
    if (isSent) topic.state = 'leaving';
  }

  putGroup(group: SimGroup, retryBackoffMs: readonly number[]): void {
    const { groupId, name, maxAttempts } = group;
    const record: GroupRecord = { groupId, group: name, maxAttempts, retryBackoffMs };
    this.world.control({ op: 'putGroup', group: record }, (answer) => {
      if (answer?.kind === 'control') this.groupsKnown.add(groupId);
    });
  }

  isGroupKnown(groupId: number): boolean {
    return this.groupsKnown.has(groupId);
  }

  /** The shard asks for the topic of a group's dead letters. */
  onDeadLetterTopicNeeded(group: SimGroup): void {
    const exists = this.world.topics.some(
      (topic) => topic.record.deadLetterOf === group.groupId && topic.state !== 'gone',
    );
    if (!exists)
      this.create(`${DEAD_LETTER_PREFIX}${group.name}`, 1, 'nobody', KEEP_ALL, group.groupId);
  }

  /** Compares what the shard remembers after a restart with what it had confirmed. @param isExact - nothing may be lost */
  learn(isExact: boolean): void {
    const { metadata } = this.world.rig;
    const there = new Set(metadata.topics.map((topic) => topic.topicId));
    for (const topic of this.world.topics) {
      const isThere = there.has(topic.topicId);
      if (isExact && topic.isConfirmed && topic.state === 'live' && !isThere)
        throw new SimViolation(`topic ${topic.name} was confirmed and is forgotten`);
      if (isExact && topic.isConfirmed && topic.state === 'gone' && isThere)
        throw new SimViolation(`topic ${topic.name} was deleted and is back`);
      // Unknown outcomes are known now; what came back after a legal loss is there again.
      if (topic.state !== 'asked' || isThere) topic.state = isThere ? 'live' : 'gone';
      if (isThere) topic.isConfirmed = true;
    }
    const groups = new Set(metadata.groups.map((group) => group.groupId));
    for (const groupId of this.groupsKnown) {
      if (groups.has(groupId)) continue;
      if (isExact) throw new SimViolation(`group ${groupId} was confirmed and is forgotten`);
      this.groupsKnown.delete(groupId);
    }
    if ((metadata.topicIdMax ?? 0) > this.world.topicIdMax)
      throw new SimViolation(`the shard knows a topic id that nobody gave: ${metadata.topicIdMax}`);
  }
}
