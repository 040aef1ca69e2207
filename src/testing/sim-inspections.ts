/** What people ask a broker about in a simulated run: positions, lags, a message by its key or by its id. Answers must fit. */
import type {
  GroupStatus,
  MessageLocation,
  ShardStatus,
  TopicStatus,
} from '../protocol/shard-control.ts';
import { SimViolation } from './sim-invariants.ts';
import type { SimMessage } from './sim-messages.ts';
import type { SimTopic, World } from './sim-world.ts';

export class SimInspections {
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  /** Numbers that must be in order, whatever they are. */
  status(): void {
    const { world } = this;
    world.control({ op: 'shardStatus' }, (answer) => {
      if (answer?.kind !== 'control') return;
      const { appended, written, flushed, logStart } = answer.result as ShardStatus;
      if (appended < written || written < flushed || appended < logStart)
        throw new SimViolation(`the status is out of order: ${JSON.stringify(answer.result)}`);
    });
    const topic = world.pick(world.liveTopics());
    if (topic !== undefined) {
      world.control({ op: 'topicStatus', topicId: topic.topicId }, (answer) => {
        if (answer?.kind !== 'control') return;
        for (const { minOffset, maxOffset } of (answer.result as TopicStatus).queues)
          if (minOffset > maxOffset)
            throw new SimViolation(`${topic.name} begins at ${minOffset}, after ${maxOffset}`);
      });
    }
    world.control({ op: 'groupStatus', groupId: 1 + world.prng.integer(4) }, (answer) => {
      if (answer?.kind !== 'control') return;
      for (const queue of (answer.result as GroupStatus).queues)
        if (queue.lag < 0 || queue.inFlight < 0 || queue.retrying < 0)
          throw new SimViolation(`a group has a strange status: ${JSON.stringify(queue)}`);
    });
  }

  /** Each message has its id as key, so a search for it must find it. */
  find(): void {
    const asked = this.somethingStored();
    if (asked === undefined) return;
    const { topic, message } = asked;
    const { topicId } = topic;
    this.world.control({ op: 'findKey', topicId, key: message.id, max: 64 }, (answer) => {
      if (answer?.kind !== 'control' || !this.mustBeThere(topic, message)) return;
      const found = answer.result as readonly MessageLocation[];
      if (!found.some((one) => isAt(one, message)))
        throw new SimViolation(`${message.id} is not found by its key`);
    });
  }

  /** A message id says where a message is; a wrong one points at nothing, or at something else. */
  locate(): void {
    const asked = this.somethingStored();
    if (asked === undefined) return;
    const { topic, message } = asked;
    const { locator } = message;
    this.world.control({ op: 'locate', position: locator }, (answer) => {
      if (answer?.kind !== 'control' || !this.mustBeThere(topic, message)) return;
      // It was lost where that is allowed, and stored again elsewhere, before this answer came.
      if (message.locator !== locator) return;
      const found = answer.result as MessageLocation | null;
      if (found === null || !isAt(found, message))
        throw new SimViolation(
          `${message.id} is not where its id says: ${JSON.stringify(answer.result)}`,
        );
    });
  }

  private somethingStored(): { topic: SimTopic; message: SimMessage } | undefined {
    const { world } = this;
    const topic = world.pick(
      world.liveTopics().filter((one) => one.writers === 'dedup' || one.writers === 'plain'),
    );
    if (topic === undefined) return undefined;
    const q = world.prng.integer(topic.record.queues);
    const message = world.pick([...world.ledger.queue(topic.name, q).values()]);
    if (message === undefined || message.locator < 0) return undefined;
    return { topic, message };
  }

  private mustBeThere(topic: SimTopic, message: SimMessage): boolean {
    const { world } = this;
    const queue = world.rig.agent.context.state.queue(topic.topicId, message.q);
    const isKept = queue !== undefined && message.off >= queue.minOffset;
    // Damage to a key index is met by a search before the index is built anew.
    return isKept && message.excuse === undefined && world.rotPositions.length === 0;
  }
}

function isAt(found: MessageLocation, message: SimMessage): boolean {
  return found.queueId === message.q && found.baseOffset + found.index === message.off;
}
