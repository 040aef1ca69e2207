/** A shard with one topic in the calling thread, and what one can do with deferred messages in it. */
import assert from 'node:assert/strict';
import { MemoryStorage } from '../log/memory-storage.ts';
import { BODY_TEXT } from '../protocol/batch/batch-layout.ts';
import type { CancelResult, DelayedList } from '../protocol/shard-control.ts';
import type { ShardConfig } from '../shard/shard-config.ts';
import { RIG_CONFIG, type RigReply, rigTopic, ShardRig } from './shard-rig.ts';
import { SimClock } from './sim-clock.ts';

/** Its topic. */
export const T = 1;

function storage(): MemoryStorage {
  return new MemoryStorage(64 * 1024 * 1024);
}

/** The answers of one kind. */
export function only<Kind extends RigReply['kind']>(
  replies: readonly RigReply[],
  kind: Kind,
): Extract<RigReply, { kind: Kind }>[] {
  return replies.filter((reply): reply is Extract<RigReply, { kind: Kind }> => reply.kind === kind);
}

export class DeferredBench {
  readonly disk: MemoryStorage = storage();
  readonly clock: SimClock = new SimClock();
  private readonly config: ShardConfig;
  rig: ShardRig;
  readonly events: string[] = [];

  constructor(config: Partial<ShardConfig> = {}) {
    this.config = { ...RIG_CONFIG, ...config };
    this.rig = new ShardRig(this.disk, this.clock, this.config);
    this.rig.settle();
    this.rig.control({ op: 'putTopic', topic: rigTopic(T, 'orders', 1) });
    this.rig.settle();
  }

  /** A kill and a start. */
  restart(): void {
    this.rig = new ShardRig(this.disk, this.clock, this.config);
    this.settle();
  }

  settle(cycles?: number): RigReply[] {
    const replies = this.rig.settle(cycles);
    for (const { event } of only(replies, 'event')) this.events.push(event.event);
    return replies;
  }

  send(
    body: string | readonly string[],
    delayMs = 0,
    key?: string,
    producer?: { id: string; epoch: number; sequence: number },
  ): Extract<RigReply, { kind: 'produced' | 'failed' }> {
    const bodies = typeof body === 'string' ? [body] : body;
    const records = bodies.map((text, index) => ({
      ...({ body: text, bodyKind: BODY_TEXT } as const),
      key: key === undefined ? undefined : index === 0 ? key : `${key}-${index}`,
    }));
    const deferral = delayMs === 0 ? undefined : { dueAtMs: this.clock.epochMs() + delayMs };
    this.rig.produce(T, 0, records, producer, deferral);
    const replies = this.settle();
    const [reply] = [...only(replies, 'produced'), ...only(replies, 'failed')];
    assert.ok(reply);
    return reply;
  }

  bodies(): string[] {
    const bodies: string[] = [];
    for (;;) {
      this.rig.fetch(T, 0, bodies.length);
      const [fetched] = only(this.settle(), 'fetched');
      assert.ok(fetched);
      if (fetched.records.length === 0) return bodies;
      bodies.push(...fetched.records.map((record) => record.body));
    }
  }

  control<Result>(request: Parameters<ShardRig['control']>[0]): Result {
    this.rig.control(request);
    const replies = this.settle();
    const [answer] = only(replies, 'control');
    assert.ok(answer, JSON.stringify(replies));
    return answer.result as Result;
  }

  list(key: string | null = null, max = 100): DelayedList {
    return this.control({ op: 'listDelayed', topicId: T, key, max });
  }

  cancel(key: string): CancelResult {
    return this.control({ op: 'cancelDelayed', topicId: T, key, place: -1 });
  }

  cancelAt(place: number): CancelResult {
    return this.control({ op: 'cancelDelayed', topicId: T, key: null, place });
  }

  pass(ms: number): void {
    this.clock.advance(ms);
    this.settle();
  }
}
