/**
 * Credit of one subscription, shared out to the shards that may deliver to it. The client's number is kept exactly: `take`
 * only what is there. A shard's grant is how much it has been told and not used as far as is known here; grants may add
 * up to more than the credit, because a shard without a grant could sit on the only messages, so what arrives beyond the
 * credit is given back. Pure: what shards must be told goes to the callback.
 */
import { invariant } from '../base/assert.ts';
import { CREDIT_MAX } from '../base/limits.ts';
import { FLOW_ADD, FLOW_PAUSE, FLOW_RESUME, FLOW_SET } from '../protocol/envelope-layout.ts';

/** Tells a shard FLOW_ADD, FLOW_SET, FLOW_PAUSE or FLOW_RESUME. */
export type FlowTeller = (shard: number, action: number, credit: number) => void;

/** Why nothing is delivered for now: the reader does not read, or too much waits to be read from files. */
export const HOLD_READER = 1;
export const HOLD_COLD = 2;

type Grant = { readonly shard: number; outstanding: number; isPaused: boolean };

export class CreditLedger {
  /** Messages that the client will still take. */
  credit: number;
  private readonly grants: readonly Grant[];
  private readonly tell: FlowTeller;
  /** Shards that were refused for want of credit and not served since, the longest first. */
  private readonly owed = new Set<number>();
  /** How often somebody still steps back for one who has waited longer, until credit comes again. */
  private yields = 0;
  private holds = 0;

  constructor(credit: number, shards: readonly number[], tell: FlowTeller) {
    invariant(shards.length > 0, 'a topic is on a shard');
    this.credit = credit;
    this.grants = shards.map((shard) => ({ shard, outstanding: 0, isPaused: false }));
    this.tell = tell;
  }

  /** Nothing more is taken from shards for now, whatever the credit. */
  get isHeld(): boolean {
    return this.holds !== 0;
  }

  /** Nothing goes to the reader either. */
  get isReaderHeld(): boolean {
    return (this.holds & HOLD_READER) !== 0;
  }

  /** A shard is being attached: the credit to tell it. Follow with `attached`. */
  attach(shard: number): number {
    const grant = this.grantOf(shard);
    grant.outstanding = this.share();
    grant.isPaused = false;
    return grant.outstanding;
  }

  /** The attach request has been written: what it cannot say follows. */
  attached(shard: number): void {
    const grant = this.grantOf(shard);
    if (this.isHeld) this.pause(grant);
  }

  /**
   * Should this shard let another one go first, that came away empty before? With less credit than shards the quickest
   * would be served for ever. It happens a few times for each `add`, so that nobody waits for one who has nothing.
   */
  mustYield(shard: number): boolean {
    const isScarce = this.credit > 0 && this.credit < this.grants.length;
    if (!isScarce || this.yields === 0 || this.owed.size === 0) return false;
    const firstInLine = [...this.owed].slice(0, this.credit);
    if (firstInLine.includes(shard)) return false;
    this.yields -= 1;
    return true;
  }

  /** The shard has used this much of its grant: it counts records, those that a filter leaves out included. */
  arrived(shard: number, count: number): void {
    if (this.credit > 0) this.owed.delete(shard);
    const grant = this.grantOf(shard);
    grant.outstanding = Math.max(0, grant.outstanding - count);
  }

  /** So many messages go to the client. */
  take(count: number): void {
    invariant(count <= this.credit, 'no more is delivered than the credit', count, this.credit);
    this.credit -= count;
  }

  /** After deliveries from this shard: what it, and the others, must be told. */
  balance(shard: number): void {
    if (this.isHeld) return;
    const share = this.share();
    for (const grant of this.grants) {
      if (grant.isPaused) continue;
      if (grant.shard === shard && grant.outstanding < share / 2) this.grow(grant, share);
      else if (grant.outstanding > 2 * this.credit) this.set(grant, share);
    }
  }

  /** Something from this shard was given back. */
  refuse(shard: number): void {
    const grant = this.grantOf(shard);
    // What the shard counts now is not known here; it is set anew when it may go on.
    if (!this.isHeld && this.credit === 0) this.owed.add(shard);
    if (this.isHeld || this.credit === 0) this.pause(grant);
    else this.set(grant, this.share());
  }

  add(more: number): void {
    this.credit = Math.min(CREDIT_MAX, this.credit + more);
    this.yields = this.grants.length - 1;
    if (this.isHeld) return;
    this.resumePaused();
    const outstanding = this.grants.reduce((sum, grant) => sum + grant.outstanding, 0);
    this.fill(Math.max(0, this.credit - outstanding));
  }

  reduce(less: number): void {
    this.credit = Math.max(0, this.credit - less);
    const share = this.share();
    for (const grant of this.grants)
      if (!grant.isPaused && grant.outstanding > share) this.set(grant, share);
  }

  /** Stops all shards. @param reason - HOLD_READER or HOLD_COLD */
  hold(reason: number): void {
    this.holds |= reason;
    for (const grant of this.grants) this.pause(grant);
  }

  /** They go on when no reason is left. */
  release(reason: number): void {
    if ((this.holds & reason) === 0) return;
    this.holds &= ~reason;
    if (this.holds === 0 && this.credit > 0) this.resumePaused();
  }

  private share(): number {
    return this.credit === 0 ? 0 : Math.max(1, Math.floor(this.credit / this.grants.length));
  }

  private resumePaused(): void {
    const share = this.share();
    for (const grant of this.grants) {
      if (!grant.isPaused) continue;
      grant.isPaused = false;
      this.set(grant, share);
      this.tell(grant.shard, FLOW_RESUME, 0);
    }
  }

  /** Gives `amount` to those with the least, level by level; whoever would be left with nothing gets one. */
  private fill(amount: number): void {
    const before = this.grants.map((grant) => grant.outstanding);
    const byLeast = [...this.grants].sort((one, other) => one.outstanding - other.outstanding);
    let left = amount;
    for (const [index, grant] of byLeast.entries()) {
      const level = byLeast[index + 1]?.outstanding ?? Number.MAX_SAFE_INTEGER;
      const lower = index + 1;
      const step = Math.min(level - grant.outstanding, Math.floor(left / lower));
      for (const raised of byLeast.slice(0, lower)) raised.outstanding += step;
      left -= step * lower;
    }
    for (const grant of byLeast) {
      if (left > 0 || grant.outstanding === 0) grant.outstanding += 1;
      left = Math.max(0, left - 1);
    }
    for (const [index, grant] of this.grants.entries()) {
      const more = grant.outstanding - (before[index] as number);
      if (more > 0) this.tell(grant.shard, FLOW_ADD, more);
    }
  }

  private grow(grant: Grant, target: number): void {
    const more = target - grant.outstanding;
    if (more <= 0) return;
    grant.outstanding = target;
    this.tell(grant.shard, FLOW_ADD, more);
  }

  private set(grant: Grant, target: number): void {
    grant.outstanding = target;
    this.tell(grant.shard, FLOW_SET, target);
  }

  private pause(grant: Grant): void {
    grant.outstanding = 0;
    if (grant.isPaused) return;
    grant.isPaused = true;
    this.tell(grant.shard, FLOW_PAUSE, 0);
  }

  private grantOf(shard: number): Grant {
    const grant = this.grants.find((candidate) => candidate.shard === shard);
    invariant(grant !== undefined, 'a delivery comes from a shard of its topic', shard);
    return grant;
  }
}
