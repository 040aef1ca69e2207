/**
 * What the checker concludes. Three verdicts: a history that shows a broken promise is invalid, one that shows too little
 * is unknown, and only one that had every chance to show something and did not is valid.
 */

/** Names of the promises that can be broken. */
export const ANOMALY_KINDS = [
  'lost',
  'phantom',
  'aborted-read',
  'corrupt',
  'wrong-topic',
  'slot-conflict',
  'duplicated',
  'producer-order',
  'consumer-order',
  'real-time-order',
  'backwards-commit',
  'commit-beyond-end',
  'redelivered-after-ack',
  'redelivered-after-commit',
  'loss-not-suffix',
  'watermark',
] as const;
export type AnomalyKind = (typeof ANOMALY_KINDS)[number];

export type Anomaly = {
  readonly kind: AnomalyKind;
  /** Time of the event that showed it. */
  readonly t: number;
  readonly text: string;
};

/** What a history must contain before its silence counts. A drain to the end is always required. */
export type Requirements = {
  readonly acked: number;
  readonly delivered: number;
  /** Sends whose outcome stayed unknown, at least for a while. */
  readonly info: number;
  /** Of those, sends that were never acknowledged and turned out to be stored. */
  readonly recovered: number;
  /** Faults after which a send ended otherwise than with an ack. */
  readonly effectiveFaults: number;
};

/** For runs without faults: benches, smoke tests. */
export const QUIET_RUN: Requirements = {
  acked: 1,
  delivered: 1,
  info: 0,
  recovered: 0,
  effectiveFaults: 0,
};
/** For runs that claim to have survived something. @source research on reliability, section 4.3, "not vacuous" */
export const CHAOS_RUN: Requirements = {
  acked: 100,
  delivered: 100,
  info: 1,
  recovered: 1,
  effectiveFaults: 1,
};

/** Counts of one history. */
export type HistoryTotals = {
  events: number;
  /** Distinct messages. */
  messages: number;
  acked: number;
  info: number;
  failed: number;
  recovered: number;
  deliveries: number;
  /** Messages that were delivered at least once. */
  delivered: number;
  /** Deliveries beyond the first to the same group. */
  redeliveries: number;
  faults: number;
  effectiveFaults: number;
  /** Acked messages whose loss the flush mode allows. */
  excusedLosses: number;
  /** Offsets that a pulling consumer jumped over within a session: legal with a filter, else judged by the drain. */
  skippedOffsets: number;
};

export type Verdict = 'valid' | 'invalid' | 'unknown';

export type CheckReport = {
  readonly verdict: Verdict;
  /** The first of each kind, `ANOMALIES_KEPT` at most. */
  readonly anomalies: readonly Anomaly[];
  /** All of each kind; kinds without any are absent. */
  readonly anomalyCounts: Readonly<Partial<Record<AnomalyKind, number>>>;
  /** Why the history cannot be called valid although nothing is wrong in it. */
  readonly unknownReasons: readonly string[];
  readonly totals: Readonly<HistoryTotals>;
};

/** Anomalies of one kind kept with their text; a broken run has millions. */
export const ANOMALIES_KEPT = 20;
/** Faults of the history itself that are kept with their text. */
const MALFORMED_KEPT = 5;

/** Collects while the history is read. */
export class AnomalyLog {
  private readonly counts: Partial<Record<AnomalyKind, number>> = {};
  private readonly kept: Anomaly[] = [];
  private readonly malformedTexts: string[] = [];
  private malformedCount = 0;

  /** @param text - names message, slot and what was expected */
  add(kind: AnomalyKind, t: number, text: string): void {
    const count = (this.counts[kind] ?? 0) + 1;
    this.counts[kind] = count;
    if (count <= ANOMALIES_KEPT) this.kept.push({ kind, t, text });
  }

  /** The recorder made a mistake: the history cannot be valid, but it says nothing about the broker. */
  malformed(t: number, text: string): void {
    this.malformedCount += 1;
    if (this.malformedCount <= MALFORMED_KEPT) this.malformedTexts.push(`t ${t}: ${text}`);
  }

  report(totals: HistoryTotals, requirements: Requirements, drained: boolean): CheckReport {
    const unknownReasons: string[] = [];
    if (this.malformedCount > 0) {
      const texts = this.malformedTexts.join('; ');
      unknownReasons.push(`the history is malformed in ${this.malformedCount} places: ${texts}`);
    }
    if (!drained) unknownReasons.push('there is no phase drain followed by a phase end');
    for (const name of Object.keys(requirements) as (keyof Requirements)[]) {
      if (totals[name] >= requirements[name]) continue;
      unknownReasons.push(`${name} is ${totals[name]}, at least ${requirements[name]} is needed`);
    }
    const broken = this.kept.length > 0;
    return {
      verdict: broken ? 'invalid' : unknownReasons.length > 0 ? 'unknown' : 'valid',
      anomalies: this.kept,
      anomalyCounts: this.counts,
      unknownReasons,
      totals,
    };
  }
}
