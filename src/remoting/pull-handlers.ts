/**
 * PULL_MESSAGE and LITE_PULL_MESSAGE: messages from an offset on, or a wait for them. What does not pass the filter is read
 * over, and a pull that may wait goes on waiting behind it.
 *
 * @source RocketMQ PullMessageProcessor, PullRequestHoldService, DefaultMessageStore.getMessage
 */
import type { Fetched } from '../acceptor/fetch-path.ts';
import { checkQueue } from '../acceptor/send-plan.ts';
import { SluiceError } from '../base/errors.ts';
import { LONG_POLLS_MAX } from '../base/limits.ts';
import { PULL_COMMIT_OFFSET, PULL_SUSPEND } from '../protocol/remoting/message-flags.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { TopicRecord } from '../protocol/shard-control.ts';
import { PullFilters } from './pull-filter.ts';
import { type PullHead, readPullHead } from './pull-head.ts';
import { queueStatus } from './queue-state.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import type { RemotingRequest } from './remoting-request.ts';
import { type HeldPull, SlowReaders } from './slow-readers.ts';
import { joined, type RecordFilter, type WrittenExtent } from './stored-messages.ts';

/** Messages that one pull reads over before it answers that none has passed. */
const READ_OVER_MAX = 10_000;
/** Pulls of one connection that wait at once; a client has one for each queue that it reads. */
const PARKED_MAX = 8192;
/** Milliseconds that a slave holds a pull for what it does not have yet: its client asks again at once. */
const AHEAD_HOLD_MS = 1000;
/** The same for what it does not have any more: its client goes to the master, which has sent it here and may again. */
const BELOW_HOLD_MS = 100;
/** Broker ids that a client is told to pull from next. @source RocketMQ SubscriptionGroupConfig */
const MASTER_ID = '0';
const SLAVE_ID_WHEN_SLOW = '1';

/** The offsets of an answer. */
type Offsets = { readonly next: number; readonly min: number; readonly max: number };

/** What all pulls share. */
type Pulls = { readonly filters: PullFilters; readonly slowReaders: SlowReaders };

/** One pull, from its arrival to its answer. */
class Pull implements HeldPull {
  private readonly context: RemotingContext;
  private readonly request: RemotingRequest;
  private readonly head: PullHead;
  private readonly topic: TopicRecord;
  private readonly filter: RecordFilter | undefined;
  private readonly slowReaders: SlowReaders;
  private readonly deadlineMs: number;
  private offset: number;
  private readOver = 0;
  /** What it read is in the memory of this broker no more. */
  private isFarBehind = false;

  constructor(
    context: RemotingContext,
    request: RemotingRequest,
    head: PullHead,
    topic: TopicRecord,
    filter: RecordFilter | undefined,
    slowReaders: SlowReaders,
  ) {
    this.slowReaders = slowReaders;
    this.context = context;
    this.request = request;
    this.head = head;
    this.topic = topic;
    this.filter = filter;
    this.offset = head.queueOffset;
    const waitMs = waitMsOf(head);
    this.deadlineMs = context.core.clock.monotonicMs() + waitMs;
    if (waitMs > 0) {
      request.isParked = true;
      request.connection.parks();
    }
  }

  get answerBytesMax(): number {
    return this.head.bytesMax;
  }

  fetch(): void {
    const { context, head, topic, offset } = this;
    if (this.isHeld()) return;
    if (offset < 0) {
      this.outOfRange().catch(this.request.refuse);
      return;
    }
    const waitMs = Math.max(0, Math.round(this.deadlineMs - context.core.clock.monotonicMs()));
    const { queueId, messagesMax, bytesMax } = head;
    const wish = { queueId, offset, max: messagesMax, bytesMax, waitMs };
    context.core.fetches.fetchParts<WrittenExtent>(topic, wish, {
      read: (extent, stored) => context.messages.write(topic.topic, extent, stored, this.filter),
      done: (fetched) => this.fetched(fetched),
      failed: (error) => this.failed(error),
    });
  }

  /** Its client has not taken what it asked for before: it waits for that. */
  private isHeld(): boolean {
    const { connection } = this.request;
    const isHeld = connection.isOverBudget && !connection.isClosed;
    if (isHeld) this.slowReaders.hold(connection, this);
    return isHeld;
  }

  private fetched({
    parts,
    nextOffset,
    minOffset,
    maxOffset,
    isCold,
  }: Fetched<WrittenExtent>): void {
    this.isFarBehind ||= isCold;
    const found = parts.filter((part) => part.count > 0);
    // Others were quicker to fill what it may be sent: this is read again.
    if (found.length > 0 && this.isHeld()) return;
    const offsets = { next: nextOffset, min: minOffset, max: maxOffset };
    this.readOver += nextOffset - this.offset;
    this.offset = nextOffset;
    if (found.length > 0) {
      this.count(found);
      this.answer(RESPONSE_CODES.SUCCESS, 'FOUND', offsets, joined(found));
      return;
    }
    const isWorthWaiting = parts.length > 0 && this.readOver < READ_OVER_MAX;
    const isInTime = this.deadlineMs > this.context.core.clock.monotonicMs();
    const goesOn = nextOffset < maxOffset || isInTime;
    if (isWorthWaiting && goesOn && !this.request.connection.isClosed) {
      this.fetch();
      return;
    }
    if (nextOffset === this.head.queueOffset)
      this.answer(RESPONSE_CODES.PULL_NOT_FOUND, 'OFFSET_OVERFLOW_ONE', offsets);
    else this.answer(RESPONSE_CODES.PULL_RETRY_IMMEDIATELY, 'NO_MATCHED_MESSAGE', offsets);
  }

  private count(found: readonly WrittenExtent[]): void {
    const { rates } = this.context.core;
    const messages = found.reduce((sum, { count }) => sum + count, 0);
    rates.took(rates.windowOf(this.head.consumerGroup, this.topic.topic), messages);
  }

  private failed(error: SluiceError): void {
    const { offset, request } = this;
    if (error.code === 'OFFSET_OUT_OF_RANGE') this.outOfRange().catch(request.refuse);
    else if (error.code === 'DRAINING')
      // What was waited for has not come; the client asks again, and finds another broker or this one back.
      this.answer(RESPONSE_CODES.PULL_NOT_FOUND, error.message, {
        ...{ next: offset, min: 0, max: offset },
      });
    else request.refuse(error);
  }

  /** The offset is before what is kept, or beyond the end. */
  private async outOfRange(): Promise<void> {
    const { context, topic, offset, head } = this;
    const { minOffset: min, maxOffset: max } = await queueStatus(context, topic, head.queueId);
    if (context.isSlave() && offset >= 0 && (offset < min || offset > max)) {
      // The master may have more, or keep it longer: its client must not lose its place here, nor ask without end.
      const { clock, deadlines } = context.core;
      const holdMs = offset > max ? AHEAD_HOLD_MS : BELOW_HOLD_MS;
      deadlines.add(clock.monotonicMs() + holdMs, () =>
        this.answer(RESPONSE_CODES.PULL_RETRY_IMMEDIATELY, 'OFFSET_OVERFLOW_BADLY', {
          ...{ next: offset, min, max },
        }),
      );
      return;
    }
    if (offset < min)
      this.answer(RESPONSE_CODES.PULL_OFFSET_MOVED, 'OFFSET_TOO_SMALL', { next: min, min, max });
    else if (offset > max)
      this.answer(RESPONSE_CODES.PULL_OFFSET_MOVED, 'OFFSET_OVERFLOW_BADLY', {
        ...{ next: max, min, max },
      });
    // It has come into range meanwhile.
    else this.fetch();
  }

  private nextBrokerId(): string {
    return this.isFarBehind && this.context.sendsToSlaves ? SLAVE_ID_WHEN_SLOW : MASTER_ID;
  }

  private answer(code: number, remark: string, offsets: Offsets, body?: Uint8Array): void {
    const fields = ['suggestWhichBrokerId', this.nextBrokerId()];
    fields.push('nextBeginOffset', String(offsets.next));
    fields.push('minOffset', String(offsets.min), 'maxOffset', String(offsets.max));
    this.request.answer({ code, remark, fields, body });
  }
}

/** Milliseconds that it may wait for messages. */
function waitMsOf({ sysFlag, suspendMs }: PullHead): number {
  return (sysFlag & PULL_SUSPEND) !== 0 ? suspendMs : 0;
}

/** @throws TOPIC_NOT_FOUND, QUEUE_NOT_FOUND, INVALID_ARGUMENT, BUSY */
function pull(
  context: RemotingContext,
  { filters, slowReaders }: Pulls,
  request: RemotingRequest,
): void {
  const head = readPullHead(request.fields);
  const topic = context.core.topics.existing(head.topic);
  checkQueue(topic, head.queueId);
  const { connection } = request;
  const { consumerGroup: group, queueId } = head;
  const queue = { connection, group, topic, queueId };
  const refused = context.groups?.pullRefusal(queue, head.queueOffset);
  if (refused !== undefined) {
    request.answer(refused);
    return;
  }
  const chosen = filters.filterOf(head, context.groups, connection);
  if ('refusal' in chosen) {
    request.answer(chosen.refusal);
    return;
  }
  if ((head.sysFlag & PULL_COMMIT_OFFSET) !== 0 && !context.isSlave() && head.commitOffset >= 0)
    context.groups?.commitOffset(queue, head.commitOffset);
  if (connection.parked >= PARKED_MAX)
    throw new SluiceError('BUSY', `the connection has ${PARKED_MAX} pulls that wait`);
  if (waitMsOf(head) > 0 && context.core.pending.count >= LONG_POLLS_MAX)
    throw new SluiceError('BUSY', `the broker has ${LONG_POLLS_MAX} requests that wait`);
  new Pull(context, request, head, topic, chosen.filter, slowReaders).fetch();
}

/** Pulls of push consumers, pull consumers and lite pull consumers. */
export function pullHandlers(context: RemotingContext): HandlerTable {
  const { clock, deadlines } = context.core;
  const pulls = { filters: new PullFilters(), slowReaders: new SlowReaders(clock, deadlines) };
  const handler = (request: RemotingRequest): void => pull(context, pulls, request);
  return [
    [REQUEST_CODES.PULL_MESSAGE, handler],
    [REQUEST_CODES.LITE_PULL_MESSAGE, handler],
  ];
}
