/**
 * Watches retention in a simulated run: which messages were let go, and that none of them was promised for longer. A restart
 * may bring some back for a while, so that is remembered.
 */
import type { SimTopic, World } from './sim-world.ts';

export class RetentionWatch {
  private readonly world: World;
  /** Slots of a queue → what was let go of them when it was last looked at. */
  private readonly seen = new Map<object, string>();

  constructor(world: World) {
    this.world = world;
  }

  /** To be called after every step. @throws Error when a message was let go before its time */
  look(): void {
    const { world } = this;
    for (const topic of world.liveTopics()) {
      if (topic.record.retentionMs === null && topic.record.retentionBytes === null) continue;
      for (let q = 0; q < topic.record.queues; q += 1) {
        const queue = world.shard.rig?.agent.context.state.queue(topic.topicId, q);
        if (queue !== undefined) this.expire(topic, q, queue.minOffset);
      }
    }
  }

  private expire({ name, record }: SimTopic, q: number, minOffset: number): void {
    const { world } = this;
    const known = world.ledger.queue(name, q);
    const state = `${minOffset} ${known.size}`;
    if (this.seen.get(known) === state) return;
    this.seen.set(known, state);
    const { retentionMs, retentionBytes } = record;
    const nowMs = world.clock.monotonicMs();
    for (const [offset, message] of known) {
      if (offset >= minOffset || message.wasExpired) continue;
      const isByTime = retentionBytes === null && !world.hasWallJumped;
      const ageMs = nowMs - message.madeAtMs;
      const isEarly = ageMs < (retentionMs ?? 0);
      const isRotten = world.rotPositions.length > 0;
      if (isByTime && isEarly && !world.hasBeenFull && !isRotten)
        throw new Error(`${message.id} was let go after ${ageMs} ms, promised were ${retentionMs}`);
      message.wasExpired = true;
      world.counts.expired += 1;
    }
  }
}
