/**
 * A client's end of the simulated shard: pairs answers with requests, hands deliveries and events to whoever listens, and
 * says "lost" to everything under way when the process dies. It also sees that nothing above the commit position leaves.
 */
import type { ShardEvent } from '../protocol/shard-control.ts';
import type { RigReply } from './rig-replies.ts';
import type { ShardRig } from './shard-rig.ts';
import { SimViolation } from './sim-invariants.ts';

export type Delivery = Extract<RigReply, { kind: 'deliver' }>;
/** An answer to a request; undefined: the process died first, and the outcome is unknown. */
export type Answer = Exclude<RigReply, { kind: 'deliver' } | { kind: 'event' }> | undefined;

export class SimLink {
  onDeliver: (delivery: Delivery) => void = () => {};
  onEvent: (event: ShardEvent) => void = () => {};
  private readonly waiting = new Map<number, (answer: Answer) => void>();

  /** Requests without an answer. */
  get openCount(): number {
    return this.waiting.size;
  }

  /**
   * @param correlation - what the rig gave the request; 0: its ring was full, and nothing was sent
   * @returns false when nothing was sent; then `onAnswer` is never called
   */
  expect(correlation: number, onAnswer: (answer: Answer) => void): boolean {
    if (correlation === 0) return false;
    this.waiting.set(correlation, onAnswer);
    return true;
  }

  /** Hands out all answers that are there. */
  take(rig: ShardRig): void {
    const commit = rig.memory.commit.observe();
    for (const reply of rig.take()) {
      checkVisible(reply, commit);
      if (reply.kind === 'deliver') this.onDeliver(reply);
      else if (reply.kind === 'event') this.onEvent(reply.event);
      else {
        const onAnswer = this.waiting.get(reply.correlation);
        this.waiting.delete(reply.correlation);
        onAnswer?.(reply);
      }
    }
  }

  /** The process is dead: nothing under way is answered any more. */
  lose(): void {
    const lost = [...this.waiting.values()];
    this.waiting.clear();
    for (const onAnswer of lost) onAnswer(undefined);
  }
}

function checkVisible(reply: RigReply, commit: number): void {
  if (reply.kind !== 'deliver' && reply.kind !== 'fetched') return;
  for (const { end, firstOffset } of reply.extents) {
    if (end > commit)
      throw new SimViolation(`offset ${firstOffset}, which ends at ${end}, left above ${commit}`);
  }
}
