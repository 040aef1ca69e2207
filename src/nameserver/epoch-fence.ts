/**
 * The highest epoch that a master of each broker name has registered with: what an older master is refused by. Kept beyond the
 * broker's own life here, because that is when an old one comes back; in memory only, as everything of a NameServer. Pure.
 */
import { NAMESRV_EPOCHS_MAX } from '../base/limits.ts';

/** What a broker without epochs has. */
export const NO_EPOCH = 0;

export class EpochFence {
  /** In the order in which they were last heard. */
  private readonly epochs: Map<string, number> = new Map();

  /** The highest epoch of this broker name; NO_EPOCH when none was heard. */
  highest(brokerName: string): number {
    return this.epochs.get(brokerName) ?? NO_EPOCH;
  }

  /** @returns false when a master of a newer epoch was here */
  admit(brokerName: string, epoch: number): boolean {
    if (epoch < this.highest(brokerName)) return false;
    if (epoch === NO_EPOCH) return true;
    this.epochs.delete(brokerName);
    this.epochs.set(brokerName, epoch);
    if (this.epochs.size > NAMESRV_EPOCHS_MAX) {
      const [longestUnheard] = this.epochs.keys();
      if (longestUnheard !== undefined) this.epochs.delete(longestUnheard);
    }
    return true;
  }
}
