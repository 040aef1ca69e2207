/**
 * The consumers' half of the checker: order within a session, acks and commits that stay. It does not know which
 * messages exist; `history-checker.ts` judges that.
 */
import type {
  AckEvent,
  CommitEvent,
  CommittedEvent,
  DeliverEvent,
  ResetEvent,
  SessionEvent,
} from './history-events.ts';
import type { AnomalyLog, HistoryTotals } from './history-report.ts';
import {
  type LossWindows,
  OffsetNumbers,
  type QueueState,
  type QueueTable,
} from './history-state.ts';

/** What one group knows of one queue. */
class GroupQueue {
  /** Highest attempt delivered so far, per offset. */
  readonly attempts: OffsetNumbers = new OffsetNumbers();
  /** Time of the ack's ok, per offset. */
  readonly ackTimes: OffsetNumbers = new OffsetNumbers();
  /** Everything below was acknowledged as committed. */
  floor = 0;
  floorT = 0;
  /** Acks and commits before this time are void. */
  resetT = 0;
  /** Requests under way → floor when they left. */
  readonly floorsAtInvoke: Map<string, number> = new Map();
}

/** A consumer's place in one queue since its session began. */
type SessionQueue = { last: number; readonly floor: number };

class ConsumerState {
  /** Start of the session; 0 before the first. */
  sessionT = 0;
  readonly queues: Map<QueueState, SessionQueue> = new Map();
}

class Group {
  readonly queues: Map<QueueState, GroupQueue> = new Map();
  readonly consumers: Map<string, ConsumerState> = new Map();

  queue(queue: QueueState): GroupQueue {
    let state = this.queues.get(queue);
    if (state === undefined) {
      state = new GroupQueue();
      this.queues.set(queue, state);
    }
    return state;
  }

  consumer(name: string): ConsumerState {
    let state = this.consumers.get(name);
    if (state === undefined) {
      state = new ConsumerState();
      this.consumers.set(name, state);
    }
    return state;
  }
}

/** Checks of all groups. */
export class GroupChecks {
  private readonly groups: Map<string, Group> = new Map();
  private readonly log: AnomalyLog;
  private readonly losses: LossWindows;
  private readonly queues: QueueTable;
  private readonly totals: HistoryTotals;

  constructor(log: AnomalyLog, losses: LossWindows, queues: QueueTable, totals: HistoryTotals) {
    this.log = log;
    this.losses = losses;
    this.queues = queues;
    this.totals = totals;
  }

  deliver(event: DeliverEvent, queue: QueueState): void {
    const group = this.group(event.g);
    const groupQueue = group.queue(queue);
    const consumer = group.consumer(event.c);
    this.checkAckIsFinal(event, groupQueue, consumer);
    this.checkOrder(event, queue, groupQueue, consumer);
    const attempt = groupQueue.attempts.get(event.off);
    if (attempt > 0) this.totals.redeliveries += 1;
    if (event.attempt > attempt) groupQueue.attempts.set(event.off, event.attempt);
  }

  ack(event: AckEvent): void {
    if (event.type !== 'ok') return;
    const groupQueue = this.group(event.g).queue(this.queues.get(event.topic, event.q));
    if (groupQueue.attempts.get(event.off) === 0) {
      this.log.malformed(
        event.t,
        `an ack of ${describe(event)}, which was not delivered to ${event.g}`,
      );
    }
    groupQueue.ackTimes.set(event.off, event.t);
  }

  commit(event: CommitEvent): void {
    const queue = this.queues.get(event.topic, event.q);
    const groupQueue = this.group(event.g).queue(queue);
    const key = `commit ${event.c} ${event.off}`;
    if (event.type === 'invoke') groupQueue.floorsAtInvoke.set(key, groupQueue.floor);
    if (event.type !== 'ok') return;
    const before = groupQueue.floorsAtInvoke.get(key) ?? groupQueue.floor;
    groupQueue.floorsAtInvoke.delete(key);
    if (event.off < before) {
      const text = `${event.g} on ${queue} committed ${event.off} after ${before} was committed`;
      this.log.add('backwards-commit', event.t, text);
    }
    // A lower one that was under way at the same time may have come last: only the lower is certain.
    groupQueue.floor = event.off;
    groupQueue.floorT = event.t;
  }

  committed(event: CommittedEvent): void {
    const queue = this.queues.get(event.topic, event.q);
    const groupQueue = this.group(event.g).queue(queue);
    const key = `committed ${event.c}`;
    if (event.type === 'invoke') {
      groupQueue.floorsAtInvoke.set(key, groupQueue.floor);
      return;
    }
    const before = groupQueue.floorsAtInvoke.get(key) ?? groupQueue.floor;
    groupQueue.floorsAtInvoke.delete(key);
    const answer = event.off ?? 0;
    if (answer >= before) return;
    const text = `${event.g} on ${queue} is told ${answer} although ${before} was committed`;
    this.log.add('backwards-commit', event.t, text);
  }

  reset(event: ResetEvent): void {
    const groupQueue = this.group(event.g).queue(this.queues.get(event.topic, event.q));
    groupQueue.floor = event.off;
    groupQueue.floorT = event.t;
    groupQueue.resetT = event.t;
    groupQueue.floorsAtInvoke.clear();
  }

  session(event: SessionEvent): void {
    const group = this.group(event.g);
    const consumer = group.consumer(event.c);
    consumer.sessionT = event.t;
    consumer.queues.clear();
    for (const name of event.assigned) {
      const slash = name.lastIndexOf('/');
      const q = Number(name.slice(slash + 1));
      if (slash <= 0 || !Number.isSafeInteger(q) || q < 0) {
        this.log.malformed(event.t, `${JSON.stringify(name)} is not topic/queue`);
        continue;
      }
      const queue = this.queues.get(name.slice(0, slash), q);
      consumer.queues.set(queue, { last: -1, floor: group.queue(queue).floor });
    }
  }

  /** A fault may have taken commits that were acknowledged since `t`. */
  forgetSince(t: number): void {
    for (const group of this.groups.values()) {
      for (const groupQueue of group.queues.values()) {
        if (groupQueue.floorT < t) continue;
        groupQueue.floor = 0;
        groupQueue.floorsAtInvoke.clear();
      }
    }
  }

  /** With every queue read to its end, its end is known. */
  finish(t: number): void {
    for (const [name, group] of this.groups) {
      for (const [queue, { floor, resetT, floorT }] of group.queues) {
        if (floor <= queue.highestOffset + 1 || resetT === floorT) continue;
        const text = `${name} committed ${floor} on ${queue}, which ends at ${queue.highestOffset + 1}`;
        this.log.add('commit-beyond-end', t, text);
      }
    }
  }

  private group(name: string): Group {
    let group = this.groups.get(name);
    if (group === undefined) {
      group = new Group();
      this.groups.set(name, group);
    }
    return group;
  }

  /**
   * An ack that was answered with ok ends the message for the group. One late arrival is legal: an earlier attempt that
   * was on its way, on a connection older than the ack, while a later attempt was delivered elsewhere and acked.
   */
  private checkAckIsFinal(
    event: DeliverEvent,
    groupQueue: GroupQueue,
    consumer: ConsumerState,
  ): void {
    const ackT = groupQueue.ackTimes.get(event.off);
    if (ackT === 0 || ackT < groupQueue.resetT || this.losses.faultCovering(ackT) > 0) return;
    const isOlderAttempt = event.attempt < groupQueue.attempts.get(event.off);
    if (isOlderAttempt && consumer.sessionT < ackT) return;
    const text = `${describe(event)} went to ${event.g} again, as attempt ${event.attempt}, after its ack at t ${ackT}`;
    this.log.add('redelivered-after-ack', event.t, text);
  }

  /** First attempts come in the order of the queue, each once, from the committed offset on; redeliveries at any time. */
  private checkOrder(
    event: DeliverEvent,
    queue: QueueState,
    groupQueue: GroupQueue,
    consumer: ConsumerState,
  ): void {
    let place = consumer.queues.get(queue);
    if (place === undefined) {
      place = { last: -1, floor: 0 };
      consumer.queues.set(queue, place);
    }
    if (event.attempt > 1) return;
    const { off } = event;
    if (
      off < place.floor &&
      groupQueue.resetT < consumer.sessionT &&
      this.losses.faultCovering(groupQueue.floorT) === 0
    ) {
      const text = `${describe(event)} went to ${event.c} although ${event.g} had committed ${place.floor}`;
      this.log.add('redelivered-after-commit', event.t, text);
    }
    if (off === place.last) {
      const text = `${describe(event)} went to ${event.c} twice in a row in one session`;
      this.log.add('duplicated', event.t, text);
    } else if (off < place.last) {
      const text = `${describe(event)} went to ${event.c} after offset ${place.last} in one session`;
      this.log.add('consumer-order', event.t, text);
    } else if (event.via === 'pull' && place.last >= 0) {
      this.totals.skippedOffsets += off - place.last - 1;
    }
    place.last = Math.max(place.last, off);
  }
}

function describe(event: {
  readonly topic: string;
  readonly q: number;
  readonly off: number;
}): string {
  return `${event.topic}/${event.q}@${event.off}`;
}
