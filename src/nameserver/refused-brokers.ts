/**
 * Brokers that were refused because another one lives under their name and id, or at their address: two processes that were
 * meant to differ. Kept for as long as a silent broker is known, so that operators can be told. Pure.
 */
import type { Clock } from '../base/clock.ts';
import { NAMESRV_REFUSED_MAX } from '../base/limits.ts';
import type { LiveBroker } from './broker-table.ts';

/** Who a broker says that it is. */
type Place = Pick<LiveBroker, 'brokerName' | 'brokerId' | 'brokerAddr'>;

/** A broker that wants a place which is taken. */
export type RefusedBroker = Place & {
  /** Address of the one that has the place. */
  readonly holderAddr: string;
  /** Closed, it has gone. */
  readonly connectionId: number;
  /** When it last tried, of the monotonic clock. */
  readonly refusedAtMs: number;
};

export class RefusedBrokers {
  private readonly clock: Clock;
  private readonly timeoutMs: number;
  /** In the order in which they last tried. */
  private readonly entries: Map<string, RefusedBroker> = new Map();

  /** @param timeoutMs - milliseconds after which one that tries no more is forgotten */
  constructor(clock: Clock, timeoutMs: number) {
    this.clock = clock;
    this.timeoutMs = timeoutMs;
  }

  note(broker: Omit<RefusedBroker, 'refusedAtMs'>): void {
    const key = keyOf(broker);
    this.entries.delete(key);
    this.entries.set(key, { ...broker, refusedAtMs: this.clock.monotonicMs() });
    if (this.entries.size <= NAMESRV_REFUSED_MAX) return;
    const [longestQuiet] = this.entries.keys();
    if (longestQuiet !== undefined) this.entries.delete(longestQuiet);
  }

  /** It has its place now, or another one. */
  registered(broker: Place): void {
    this.entries.delete(keyOf(broker));
  }

  connectionClosed(connectionId: number): void {
    for (const [key, entry] of this.entries)
      if (entry.connectionId === connectionId) this.entries.delete(key);
  }

  /** Those that tried not long ago. */
  all(): readonly RefusedBroker[] {
    const sinceMs = this.clock.monotonicMs() - this.timeoutMs;
    return [...this.entries.values()].filter(({ refusedAtMs }) => refusedAtMs >= sinceMs);
  }
}

function keyOf({ brokerName, brokerId, brokerAddr }: Place): string {
  return `${brokerName} ${brokerId} ${brokerAddr}`;
}
