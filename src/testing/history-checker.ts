/**
 * Judges a history against the promises: nothing acknowledged is lost, nothing appears that was not sent, order within a
 * queue, one slot per message, acks and commits that stay. One pass with hash maps, then one over the messages: linear in
 * the events. It sees only what clients saw, so it can be used on any broker, in simulation, end to end, and in `bench`.
 *
 * Not judged here: delayed and transactional messages, replicas against each other, liveness. No Node built-ins.
 */
import { unreachable } from '../base/assert.ts';
import type { FaultEvent, HistoryEvent, PhaseEvent, SendEvent } from './history-events.ts';
import { GroupChecks } from './history-groups.ts';
import { MessageChecks } from './history-messages.ts';
import {
  AnomalyLog,
  type CheckReport,
  type HistoryTotals,
  type Requirements,
} from './history-report.ts';
import { LossWindows, QueueTable } from './history-state.ts';
import { WatermarkChecks } from './history-watermarks.ts';

export type CheckerOptions = {
  /** `QUIET_RUN`, `CHAOS_RUN`, or numbers of the run. */
  readonly requirements: Requirements;
  /**
   * Faults that may take what became known in the `windowUs` before them: power loss with ASYNC_FLUSH. What they take
   * must be the end of a queue. Absent: nothing may be lost, ever.
   */
  readonly allowedLoss?: { readonly faultKinds: readonly string[]; readonly windowUs: number };
};

/** Takes events in the order of their times; `finish` gives the verdict. */
export class HistoryChecker {
  private readonly requirements: Requirements;
  private readonly log: AnomalyLog;
  private readonly losses: LossWindows;
  private readonly queues: QueueTable;
  private readonly totals: HistoryTotals;
  private readonly messages: MessageChecks;
  private readonly groups: GroupChecks;
  private readonly watermarks: WatermarkChecks;
  private lastT: number;
  /** A fault has begun and no send has ended badly since. */
  private isFaultPending: boolean;
  private phase: PhaseEvent['name'];
  private isDrained: boolean;

  constructor(options: CheckerOptions) {
    const { faultKinds, windowUs } = options.allowedLoss ?? { faultKinds: [], windowUs: 0 };
    this.requirements = options.requirements;
    this.log = new AnomalyLog();
    this.losses = new LossWindows(faultKinds, windowUs);
    this.queues = new QueueTable();
    this.totals = zeroTotals();
    this.messages = new MessageChecks(this.log, this.losses, this.queues, this.totals);
    this.groups = new GroupChecks(this.log, this.losses, this.queues, this.totals);
    this.watermarks = new WatermarkChecks(this.log);
    this.lastT = 0;
    this.isFaultPending = false;
    this.phase = 'run';
    this.isDrained = false;
  }

  add(event: HistoryEvent): void {
    this.totals.events += 1;
    if (event.t > this.lastT) this.lastT = event.t;
    else this.log.malformed(event.t, `the time is not above ${this.lastT}`);
    switch (event.f) {
      case 'send':
        this.send(event);
        break;
      case 'deliver': {
        const queue = this.queues.get(event.topic, event.q);
        this.totals.deliveries += 1;
        this.groups.deliver(event, queue);
        this.messages.deliver(event, queue);
        break;
      }
      case 'ack':
        this.groups.ack(event);
        break;
      case 'commit':
        this.groups.commit(event);
        break;
      case 'committed':
        this.groups.committed(event);
        break;
      case 'reset':
        this.groups.reset(event);
        break;
      case 'session':
        this.groups.session(event);
        break;
      case 'wm':
        this.watermarks.sample(event);
        break;
      case 'fault':
        this.fault(event);
        break;
      case 'phase':
        this.changePhase(event);
        break;
      default:
        unreachable(event);
    }
  }

  /** The verdict about everything added. Call it once. */
  finish(): CheckReport {
    this.messages.finish(this.lastT, this.isDrained);
    if (this.isDrained) this.groups.finish(this.lastT);
    return this.log.report(this.totals, this.requirements, this.isDrained);
  }

  private send(event: SendEvent): void {
    switch (event.type) {
      case 'invoke':
        if (this.phase === 'drain' || this.phase === 'end') {
          this.log.malformed(event.t, `${event.id} is sent after the drain began`);
        }
        this.messages.invoke(event);
        break;
      case 'ok':
        this.messages.ok(event);
        this.watermarks.acked(event);
        break;
      case 'info':
      case 'fail':
        this.messages.end(event);
        if (this.isFaultPending) this.totals.effectiveFaults += 1;
        this.isFaultPending = false;
        break;
      default:
        unreachable(event);
    }
  }

  private fault(event: FaultEvent): void {
    if (!event.start) return;
    this.totals.faults += 1;
    this.isFaultPending = true;
    const since = this.losses.add(event.kind, event.t);
    if (since === undefined) return;
    for (const queue of this.queues.all()) queue.trail.forgetSince(since);
    this.groups.forgetSince(since);
    this.watermarks.forgetAcks();
  }

  private changePhase(event: PhaseEvent): void {
    if (event.name === 'drain') this.messages.drainGroup = event.g;
    if (event.name === 'end') this.isDrained = this.phase === 'drain';
    this.phase = event.name;
  }
}

/** Checks a whole history. */
export function checkHistory(events: Iterable<HistoryEvent>, options: CheckerOptions): CheckReport {
  const checker = new HistoryChecker(options);
  for (const event of events) checker.add(event);
  return checker.finish();
}

function zeroTotals(): HistoryTotals {
  return {
    events: 0,
    messages: 0,
    acked: 0,
    info: 0,
    failed: 0,
    recovered: 0,
    deliveries: 0,
    delivered: 0,
    redeliveries: 0,
    faults: 0,
    effectiveFaults: 0,
    excusedLosses: 0,
    skippedOffsets: 0,
  };
}
