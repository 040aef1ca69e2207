/**
 * Who is connected, by address: the limits that apply to a TCP connection before a byte of it is read. Event-loop
 * thread of the front door; every `enter` that did not answer 'dropped' has exactly one `leave`.
 */
import { invariant } from '../base/assert.ts';
import type { FrontDoorLimits } from './transport.ts';

/**
 * Connections above a limit that are kept open long enough to read their request and answer it with 503. Those beyond
 * are closed at once: a flood must not be able to hold memory by being refused.
 */
const REFUSALS_WAITING_MAX = 16;

/** What to do with a new connection. */
export type Admission = 'admitted' | 'refused' | 'dropped';

/** The limits that are kept here. */
export type CensusLimits = Pick<FrontDoorLimits, 'connectionsMax' | 'connectionsPerAddressMax'>;

export class ConnectionCensus {
  /** Connections that entered and did not leave, the refused ones included. */
  total = 0;
  private readonly limits: CensusLimits;
  private readonly byAddress: Map<string, number> = new Map();

  constructor(limits: CensusLimits) {
    this.limits = limits;
  }

  /** Counts a new connection, unless it is 'dropped'. */
  enter(address: string): Admission {
    const { connectionsMax, connectionsPerAddressMax } = this.limits;
    const ofAddress = this.byAddress.get(address) ?? 0;
    const above = Math.max(this.total - connectionsMax, ofAddress - connectionsPerAddressMax);
    if (above >= REFUSALS_WAITING_MAX) return 'dropped';
    this.total += 1;
    this.byAddress.set(address, ofAddress + 1);
    return above >= 0 ? 'refused' : 'admitted';
  }

  leave(address: string): void {
    const ofAddress = this.byAddress.get(address) ?? 0;
    invariant(ofAddress > 0, 'a connection leaves that never entered', this.total, ofAddress);
    this.total -= 1;
    if (ofAddress === 1) this.byAddress.delete(address);
    else this.byAddress.set(address, ofAddress - 1);
  }

  /** Is a limit exceeded that a connection of this address counts for? */
  isOver(address: string): boolean {
    const { connectionsMax, connectionsPerAddressMax } = this.limits;
    return (
      this.total > connectionsMax || (this.byAddress.get(address) ?? 0) > connectionsPerAddressMax
    );
  }
}
