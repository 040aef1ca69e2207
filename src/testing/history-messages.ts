/**
 * The producers' half of the checker: which messages exist, where each is stored, in which order, and whether it is still
 * there at the end.
 */
import type { DeliverEvent, SendEndEvent, SendInvokeEvent, SendOkEvent } from './history-events.ts';
import type { AnomalyLog, HistoryTotals } from './history-report.ts';
import type {
  LossWindows,
  MessageState,
  ProducerState,
  QueueState,
  QueueTable,
} from './history-state.ts';

/** Topics to which the broker itself moves messages: they keep their id and get another slot. */
const DERIVED_TOPIC = /^%(?:RETRY|DLQ)%/;

/** Checks of all messages. */
export class MessageChecks {
  /** The group that reads everything once more at the end; undefined without. */
  drainGroup: string | undefined = undefined;
  private readonly messages: Map<string, MessageState> = new Map();
  private readonly producers: Map<string, ProducerState> = new Map();
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

  invoke(event: SendInvokeEvent): void {
    const known = this.messages.get(event.id);
    if (known !== undefined) {
      known.invokes += 1;
      if (known.producer.name !== event.p || known.topic !== event.topic) {
        this.log.malformed(event.t, `the id ${event.id} is used for two messages`);
      }
      return;
    }
    this.messages.set(event.id, {
      id: event.id,
      producer: this.producer(event.p),
      topic: event.topic,
      seq: event.seq ?? -1,
      epoch: event.epoch ?? 0,
      dedup: event.dedup ?? false,
      crc: event.crc ?? -1,
      invokeT: event.t,
      invokes: 1,
      oks: 0,
      infos: 0,
      fails: 0,
      evidenceT: 0,
      slots: 0,
      queue: undefined,
      off: -1,
      delivered: false,
      drained: false,
      lost: false,
    });
  }

  ok(event: SendOkEvent): void {
    const message = this.answered(event);
    if (message === undefined) return;
    message.oks += 1;
    if (event.q !== undefined && event.off !== undefined) {
      this.claimSlot(message, this.queues.get(message.topic, event.q), event.off, event.t);
    }
    if (message.evidenceT === 0) message.evidenceT = event.t;
  }

  end(event: SendEndEvent): void {
    const message = this.answered(event);
    if (message === undefined) return;
    if (event.type === 'info') message.infos += 1;
    else message.fails += 1;
  }

  deliver(event: DeliverEvent, queue: QueueState): void {
    const message = this.messages.get(event.id);
    if (message === undefined) {
      this.log.add('phantom', event.t, `${event.id} at ${queue}@${event.off} was not sent by then`);
      return;
    }
    if (message.crc >= 0 && event.crc !== undefined && event.crc !== message.crc) {
      const text = `${event.id} at ${queue}@${event.off} has checksum ${event.crc}, sent was ${message.crc}`;
      this.log.add('corrupt', event.t, text);
    }
    if (event.topic === message.topic) this.claimSlot(message, queue, event.off, event.t);
    else if (!DERIVED_TOPIC.test(event.topic)) {
      const text = `${event.id} was sent to ${message.topic} and came from ${queue}`;
      this.log.add('wrong-topic', event.t, text);
    }
    if (message.evidenceT === 0) message.evidenceT = event.t;
    message.delivered = true;
    if (event.g === this.drainGroup) message.drained = true;
  }

  /** @param isDrained - everything that is stored was delivered by now */
  finish(t: number, isDrained: boolean): void {
    this.totals.messages = this.messages.size;
    for (const message of this.messages.values()) {
      this.count(message);
      if (message.delivered && isRefused(message)) {
        this.log.add('aborted-read', t, `${message.id} was refused and is${placeOf(message)}`);
      } else if (isDrained) this.checkIsThere(message, t);
    }
    for (const queue of this.queues.all()) this.checkQueue(queue, t);
  }

  private producer(name: string): ProducerState {
    let producer = this.producers.get(name);
    if (producer === undefined) {
      producer = { name, scannedQueue: undefined, scannedLast: undefined };
      this.producers.set(name, producer);
    }
    return producer;
  }

  /** The message whose send ended. A late answer after an `info` is legal, more answers than requests are not. */
  private answered(event: SendOkEvent | SendEndEvent): MessageState | undefined {
    const message = this.messages.get(event.id);
    if (message === undefined) {
      this.log.malformed(event.t, `the send of ${event.id} ended before it began`);
      return undefined;
    }
    const answers = message.oks + message.fails + (event.type === 'info' ? message.infos : 0);
    if (answers >= message.invokes) {
      this.log.malformed(event.t, `the send of ${event.id} ended more often than it began`);
    }
    return message;
  }

  /** The message was seen at this slot, in a receipt or a delivery. */
  private claimSlot(message: MessageState, queue: QueueState, off: number, t: number): void {
    const holder = queue.slots.get(off);
    if (holder === message) {
      // One of several copies: it is judged where it was seen last, because another copy may be lost by now.
      message.queue = queue;
      message.off = off;
      return;
    }
    if (holder !== undefined && this.losses.faultCovering(queue.placedTimes.get(off)) === 0) {
      this.log.add('slot-conflict', t, `${queue}@${off} holds ${holder.id} and ${message.id}`);
    }
    // It has been here before and another took its place: one conflict, not a second slot.
    if (message.queue === queue && message.off === off) return;
    const highest = queue.trail.highestBefore(message.invokeT);
    if (off < highest) {
      const text = `${message.id} at ${queue}@${off} was sent after offset ${highest} was known`;
      this.log.add('real-time-order', t, text);
    }
    this.countSlot(message, queue, off, t);
    queue.slots.set(off, message);
    queue.trail.add(t, off);
    queue.highestOffset = Math.max(queue.highestOffset, off);
    message.queue = queue;
    message.off = off;
    queue.placedTimes.set(off, t);
  }

  /** One slot per message with dedup, else one for each time it was sent. */
  private countSlot(message: MessageState, queue: QueueState, off: number, t: number): void {
    if (message.slots > 0 && this.losses.faultCovering(message.evidenceT) > 0) {
      // The first copy may be gone with the power; the second begins a new life.
      message.slots = 0;
      message.evidenceT = t;
      message.queue?.slots.set(message.off, undefined);
    }
    message.slots += 1;
    if (message.slots <= (message.dedup ? 1 : message.invokes)) return;
    this.log.add('duplicated', t, `${message.id} is${placeOf(message)} and at ${queue}@${off}`);
  }

  private count(message: MessageState): void {
    const { totals } = this;
    const isOpen = message.oks === 0 && !isRefused(message);
    if (message.oks > 0) totals.acked += 1;
    if (message.infos > 0 || isOpen) totals.info += 1;
    if (message.delivered) totals.delivered += 1;
    if (isRefused(message)) totals.failed += 1;
    if (isOpen && message.delivered) totals.recovered += 1;
  }

  /** Acknowledged or once delivered means stored for good; with a drain group, that group must have seen it. */
  private checkIsThere(message: MessageState, t: number): void {
    const isThere = this.drainGroup === undefined ? message.delivered : message.drained;
    if (isThere || (message.oks === 0 && !message.delivered)) return;
    message.lost = true;
    const faultT = this.losses.faultCovering(message.evidenceT);
    if (faultT > 0) {
      this.totals.excusedLosses += 1;
      const { queue, off } = message;
      queue?.lostBy.set(faultT, Math.min(queue.lostBy.get(faultT) ?? off, off));
    } else if (message.oks > 0) {
      const text = `${message.id} was acknowledged${placeOf(message)} and is not there at the end`;
      this.log.add('lost', t, text);
    } else {
      const text = `${message.id} was delivered${placeOf(message)} and is not there at the end`;
      this.log.add('aborted-read', t, text);
    }
  }

  /** Walks a queue in the order of offsets: each producer's messages in the order of its calls, losses at the end only. */
  private checkQueue(queue: QueueState, t: number): void {
    for (const [off, message] of queue.slots.inOrder()) {
      // A message in two slots was reported; it is judged where it was seen last.
      if (message.lost || message.off !== off || message.queue !== queue) continue;
      for (const [faultT, lowest] of queue.lostBy) {
        // A copy that was stored after the loss is none of what was there before it.
        if (off < lowest || queue.placedTimes.get(off) > faultT) continue;
        const text = `${queue}@${lowest} was lost at t ${faultT}, ${message.id} at @${off} was not`;
        this.log.add('loss-not-suffix', faultT, text);
      }
      if (message.dedup && message.seq >= 0) this.checkProducerOrder(queue, message, off, t);
    }
  }

  private checkProducerOrder(
    queue: QueueState,
    message: MessageState,
    off: number,
    t: number,
  ): void {
    const { producer } = message;
    const before = producer.scannedQueue === queue ? producer.scannedLast : undefined;
    producer.scannedQueue = queue;
    producer.scannedLast = message;
    if (before === undefined || isCalledBefore(before, message)) return;
    const text = `${producer.name} sent ${message.id} before ${before.id}, which is below ${queue}@${off}`;
    this.log.add('producer-order', t, text);
  }
}

/** Every attempt was refused for certain. */
function isRefused(message: MessageState): boolean {
  return message.fails === message.invokes;
}

function isCalledBefore(a: MessageState, b: MessageState): boolean {
  return a.epoch === b.epoch ? a.seq < b.seq : a.epoch < b.epoch;
}

function placeOf(message: MessageState): string {
  return message.queue === undefined ? '' : ` at ${message.queue}@${message.off}`;
}
