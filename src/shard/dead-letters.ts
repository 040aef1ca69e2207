/**
 * Messages whose deliveries are used up go to the group's dead-letter topic with the reason, and back when an operator says
 * so. A dead letter is a copy, so that its retention does not hang on the topic it came from. Shard thread.
 *
 * @source RocketMQ: %DLQ% topics; docs/PROTOCOL.md names the properties
 */
import { DEAD_LETTER_PREFIX } from '../base/names.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import type { BatchReader } from '../protocol/batch/batch-reader.ts';
import type { GroupQueue, NextRange } from './group-queue.ts';
import type { GroupTable } from './group-table.ts';
import type { CopyTarget, MessageCopier } from './message-copier.ts';
import type { ShardContext } from './shard-context.ts';

const PROPERTY_PREFIX = 'DLQ_';
/** Milliseconds between two requests for the same topic. */
const ASK_INTERVAL_MS = 1000;
/** Characters of a reason that are kept. */
const REASON_LENGTH_MAX = 1000;

export class DeadLetters {
  private readonly context: ShardContext;
  private readonly groups: GroupTable;
  private readonly copier: MessageCopier;
  /** Taken out of their group queue, waiting for the dead-letter topic to exist. */
  private waiting: { one: GroupQueue; range: NextRange }[] = [];
  private readonly askedAtMs = new Map<number, number>();
  /** Redrives of a dead-letter queue that are under way, and where the last of them ends. They may end in any order. */
  private readonly redrives = new Map<ConsumeQueue, { open: number; end: number }>();

  constructor(context: ShardContext, groups: GroupTable, copier: MessageCopier) {
    this.context = context;
    this.groups = groups;
    this.copier = copier;
  }

  /** Takes `range`, whose attempts are used up, out of its queue and sends it to the dead-letter topic. */
  add(one: GroupQueue, range: NextRange): void {
    one.takeOut(range, range.end - range.start);
    this.waiting.push({ one, range });
  }

  /** Starts copies whose topic exists, asks for topics that do not. @returns copies started */
  doWork(): number {
    if (this.waiting.length === 0) return 0;
    const before = this.waiting.length;
    // Thousands of one group may wait, among thousands of topics.
    const letters = new Map<number, ConsumeQueue | undefined>();
    for (const { one } of this.waiting)
      if (!letters.has(one.groupId)) letters.set(one.groupId, this.queueOf(one.groupId));
    this.waiting = this.waiting.filter(
      ({ one, range }) => !this.start(one, range, letters.get(one.groupId)),
    );
    return before - this.waiting.length;
  }

  /**
   * Sends up to `max` dead letters of a group back to the topics they came from.
   *
   * @param done - called with the number that was sent, when all that was done for it is in the log or on its way there
   */
  redrive(groupId: number, max: number, done: (redriven: number) => void): void {
    const letters = this.queueOf(groupId);
    if (letters === undefined) {
      done(0);
      return;
    }
    this.groups.ensurePosition(groupId, letters, () => letters.minOffset);
    const one = this.context.state.groupQueue(groupId, letters.topicId, letters.queueId);
    if (one === undefined) {
      done(0);
      return;
    }
    one.raiseTo(letters.minOffset);
    // What a request before is still sending is left to it.
    const under = this.redrives.get(letters) ?? { open: 0, end: 0 };
    const from = Math.max(one.settledThrough, under.end);
    const runs = one.unsettledRuns(from, letters.visibleEnd, max);
    // Nothing to do is done when what is before it is.
    if (runs.length === 0) runs.push([from, from]);
    this.redrives.set(letters, under);
    under.open += 1;
    let redriven = 0;
    let open = runs.length;
    for (const [start, end] of runs) {
      under.end = Math.max(under.end, end);
      this.copier.add({
        ...{ source: letters, start, end },
        route: (reader) => this.routeBack(reader),
        onPart: (partStart, partEnd, isCopied) => {
          if (isCopied) redriven += partEnd - partStart;
          this.groups.settle(one, partStart, partEnd);
        },
        onEnd: () => {
          open -= 1;
          if (open > 0) return;
          under.open -= 1;
          if (under.open === 0) this.redrives.delete(letters);
          done(redriven);
        },
      });
    }
  }

  /** This shard's queue of a group's dead-letter topic. */
  queueOf(groupId: number): ConsumeQueue | undefined {
    for (const topic of this.context.state.topics.values()) {
      if (topic.deadLetterOf === groupId) return this.context.state.queuesOf(topic.topicId)[0];
    }
    return undefined;
  }

  private start(one: GroupQueue, range: NextRange, letters: ConsumeQueue | undefined): boolean {
    const { state } = this.context;
    const source = state.queue(one.topicId, one.queueId);
    const topic = state.topics.get(one.topicId);
    // The topic or the group is gone: there is nobody to keep these for.
    if (source === undefined || topic === undefined || !state.groups.has(one.groupId)) return true;
    if (letters === undefined || topic.deadLetterOf !== null) {
      if (topic.deadLetterOf !== null) this.groups.settle(one, range.start, range.end);
      else this.askForTopic(one.groupId);
      return topic.deadLetterOf !== null;
    }
    const reason = (
      range.reason === '' ? 'all delivery attempts were used up' : range.reason
    ).slice(0, REASON_LENGTH_MAX);
    this.copier.add({
      source,
      start: range.start,
      end: range.end,
      route: (reader, queueOffset) => ({
        queue: letters,
        properties: {
          DLQ_REASON: reason,
          DLQ_TOPIC: topic.topic,
          DLQ_QUEUE_ID: String(one.queueId),
          DLQ_QUEUE_OFFSET: String(queueOffset),
          DLQ_ATTEMPTS: String(range.attempt - 1),
          ...withoutOurs(reader.properties),
        },
      }),
      onPart: (start, end) => this.groups.settle(one, start, end),
      onEnd: () => {},
    });
    return true;
  }

  private askForTopic(groupId: number): void {
    const now = this.context.clock.monotonicMs();
    if (now - (this.askedAtMs.get(groupId) ?? Number.NEGATIVE_INFINITY) < ASK_INTERVAL_MS) return;
    this.askedAtMs.set(groupId, now);
    this.context.emit({ event: 'needs-dead-letter-topic', groupId });
  }

  private routeBack(reader: BatchReader): CopyTarget | undefined {
    const all = reader.properties;
    const name = all[`${PROPERTY_PREFIX}TOPIC`];
    if (name === undefined || name.startsWith(DEAD_LETTER_PREFIX)) return undefined;
    const queueId = Number(all[`${PROPERTY_PREFIX}QUEUE_ID`]);
    for (const topic of this.context.state.topics.values()) {
      if (topic.topic !== name) continue;
      const queue = this.context.state.queue(topic.topicId, queueId);
      if (queue === undefined) return undefined;
      return { queue, properties: withoutOurs(all) };
    }
    return undefined;
  }
}

/** A message's own properties, without what the broker added. */
function withoutOurs(properties: Readonly<Record<string, string>>): Record<string, string> {
  const own: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(properties))
    if (!name.startsWith(PROPERTY_PREFIX)) own[name] = value;
  return own;
}
