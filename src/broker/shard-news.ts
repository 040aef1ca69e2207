/**
 * What the shards of a broker report, as lines of its log and as a state that lasts: which are fenced by their disk, and
 * which segments of each cannot be read. Main thread.
 */
import type { Logger } from '../base/log-sink.ts';
import type { ShardEvent } from '../protocol/shard-control.ts';

export class ShardNews {
  private readonly log: Logger;
  /** Why, by shard. */
  private readonly fenced = new Map<number, string>();
  /** Positions of segments, by shard. */
  private readonly unreadable = new Map<number, Set<number>>();

  constructor(log: Logger) {
    this.log = log;
  }

  /** A shard that its disk has fenced runs on and serves what is committed, but the broker is not ready. Questions are no news. */
  onEvent(shard: number, event: ShardEvent): void {
    const { log } = this;
    switch (event.event) {
      case 'check-half':
        return;
      case 'metadata':
        log.info(event.event, { shard });
        return;
      case 'fenced':
        log.error(event.event, { shard, ...event });
        this.fenced.set(shard, `shard ${shard}: ${event.message}`);
        return;
      case 'unreadable':
        log.error(event.event, { shard, ...event });
        this.unreadableOf(shard).add(event.position);
        return;
      case 'readable':
        log.info(event.event, { shard, ...event });
        this.unreadableOf(shard).delete(event.position);
        return;
      case 'needs-dead-letter-topic':
      case 'read-only':
      case 'writable':
      case 'rot':
      case 'recovered':
        log.warn(event.event, { shard, ...event });
    }
  }

  /** The shard was started anew: it reports again what it finds. */
  forget(shard: number): void {
    this.fenced.delete(shard);
    this.unreadable.delete(shard);
  }

  fencedReasons(): readonly string[] {
    return [...this.fenced.values()];
  }

  unreadableSegments(shard: number): number {
    return this.unreadable.get(shard)?.size ?? 0;
  }

  private unreadableOf(shard: number): Set<number> {
    let positions = this.unreadable.get(shard);
    if (positions === undefined) {
      positions = new Set();
      this.unreadable.set(shard, positions);
    }
    return positions;
  }
}
