/**
 * Checks the positions that shards publish about themselves: they only grow within an epoch, they keep their order, and
 * what was acknowledged is visible from then on.
 */
import type { SendOkEvent, WatermarkEvent } from './history-events.ts';
import type { AnomalyLog } from './history-report.ts';

type ShardState = {
  last: WatermarkEvent | undefined;
  /** End of the highest batch acknowledged so far. */
  ackedEnd: number;
};

const POSITIONS = ['written', 'synced', 'replicated', 'visible'] as const;

export class WatermarkChecks {
  private readonly shards: Map<string, ShardState> = new Map();
  private readonly log: AnomalyLog;

  constructor(log: AnomalyLog) {
    this.log = log;
  }

  acked(event: SendOkEvent): void {
    if (event.node === undefined || event.shard === undefined || event.end === undefined) return;
    const shard = this.shard(event.node, event.shard);
    shard.ackedEnd = Math.max(shard.ackedEnd, event.end);
  }

  sample(event: WatermarkEvent): void {
    const shard = this.shard(event.node, event.shard);
    const { last } = shard;
    if (last !== undefined && event.epoch < last.epoch) {
      this.report(event, `the epoch fell from ${last.epoch} to ${event.epoch}`);
    }
    if (last !== undefined && event.epoch === last.epoch) {
      for (const name of POSITIONS) {
        if (event[name] >= last[name]) continue;
        this.report(event, `${name} fell from ${last[name]} to ${event[name]}`);
      }
    }
    for (const name of ['synced', 'replicated'] as const) {
      if (event[name] <= event.written) continue;
      this.report(event, `${name} ${event[name]} is above written ${event.written}`);
    }
    const confirmed = confirmedOf(event);
    if (event.visible > confirmed) {
      this.report(event, `visible ${event.visible} is above ${confirmed}, which is ${event.mode}`);
    }
    if (event.visible < shard.ackedEnd) {
      this.report(
        event,
        `visible ${event.visible} is below ${shard.ackedEnd}, which was acknowledged`,
      );
    }
    shard.last = event;
  }

  /** A fault may have taken what was acknowledged last. */
  forgetAcks(): void {
    for (const shard of this.shards.values()) shard.ackedEnd = 0;
  }

  private shard(node: string, number: number): ShardState {
    const key = `${node}/${number}`;
    let shard = this.shards.get(key);
    if (shard === undefined) {
      shard = { last: undefined, ackedEnd: 0 };
      this.shards.set(key, shard);
    }
    return shard;
  }

  private report(event: WatermarkEvent, text: string): void {
    this.log.add(
      'watermark',
      event.t,
      `${event.node}/${event.shard}, epoch ${event.epoch}: ${text}`,
    );
  }
}

function confirmedOf(event: WatermarkEvent): number {
  switch (event.mode) {
    case 'memory':
      return event.written;
    case 'disk':
      return event.synced;
    case 'replicated':
      return event.replicated;
    case 'disk-replicated':
      return Math.min(event.synced, event.replicated);
  }
}
