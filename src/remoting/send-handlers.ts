/**
 * SEND_MESSAGE, SEND_MESSAGE_V2, SEND_BATCH_MESSAGE: a message, or a batch of them, becomes one batch of ours and is answered
 * when it is as safe as this broker promises. Once per send.
 *
 * @source RocketMQ SendMessageProcessor
 */
import { NOT_DEFERRED } from '../acceptor/delays.ts';
import type { Waiter } from '../acceptor/pending-requests.ts';
import { busy } from '../acceptor/send-path.ts';
import { bodyTooLarge, checkQueue } from '../acceptor/send-plan.ts';
import { getU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32-native.ts';
import type { ErrorCode } from '../base/error-codes.ts';
import { SluiceError } from '../base/errors.ts';
import { BATCH_BYTES_MAX, SHARD_ANSWER_MS_MAX } from '../base/limits.ts';
import { KIB } from '../base/units.ts';
import { BatchBuilder, recordBytes } from '../protocol/batch/batch-builder.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import { BatchBody } from '../protocol/remoting/batch-body.ts';
import type { FieldList } from '../protocol/remoting/command.ts';
import {
  TRANSACTION_COMMIT,
  TRANSACTION_MASK,
  TRANSACTION_PREPARED,
} from '../protocol/remoting/message-flags.ts';
import { originText } from '../protocol/remoting/message-origin.ts';
import { DEFAULT_REGION } from '../protocol/remoting/message-properties.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { TopicRecord } from '../protocol/shard-control.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import { CodedError } from './remoting-refusal.ts';
import type { RemotingRequest } from './remoting-request.ts';
import { LETTER_NAMES, LONG_NAMES, readSendHead, type SendHead } from './send-head.ts';
import { prepareReplies, topicForSend } from './send-topic.ts';
import { SentRecord } from './sent-record.ts';

const BUILDER_BYTES: number = 64 * KIB;

/** The message is stored here, and a promise about it was not kept in time: clients count it as sent, with a status that says so. */
const STORED_ALL_THE_SAME: ReadonlyMap<ErrorCode, number> = new Map([
  ['FLUSH_TIMEOUT', RESPONSE_CODES.FLUSH_DISK_TIMEOUT],
  ['FLUSH_SLAVE_TIMEOUT', RESPONSE_CODES.FLUSH_SLAVE_TIMEOUT],
]);

/** What does not come with a message of its own. */
type Flags = { readonly sysFlag: number; readonly flag: number; readonly reconsumeTimes: number };

class Sends {
  private readonly context: RemotingContext;
  private readonly record: SentRecord;
  private readonly batchBody = new BatchBody();
  private readonly builder = new BatchBuilder(BUILDER_BYTES, '', 0, crc32);
  /** Counts the sends that leave the queue to the broker: they go to all in turn. */
  private turn = 0;

  constructor(context: RemotingContext) {
    this.context = context;
    this.record = new SentRecord(context.identity.clusterName);
  }

  readonly send = (request: RemotingRequest): void | Promise<void> => {
    const { context } = this;
    const names = request.code === REQUEST_CODES.SEND_MESSAGE ? LONG_NAMES : LETTER_NAMES;
    const head = readSendHead(request.fields, names);
    const { body } = request;
    if (context.isSlave()) throw new SluiceError('NOT_MASTER');
    const letter = context.groups?.deadLetterOf(head, request.version);
    if (letter !== undefined) {
      const kept = body.slice();
      return letter.then(({ topic, head: changed }) =>
        this.sendTo(request, topic, changed, kept, true),
      );
    }
    const topic = context.core.topics.find(head.topic);
    if (topic !== undefined) {
      this.sendTo(request, topic, head, body);
      return;
    }
    const kept = body.slice();
    return topicForSend(context, head).then((made) => this.sendTo(request, made, head, kept));
  };

  private sendTo(
    request: RemotingRequest,
    topic: TopicRecord,
    head: SendHead,
    body: Uint8Array,
    isLetter = false,
  ): void {
    const { core } = this.context;
    if (topic.deadLetterOf !== null && !isLetter)
      throw new SluiceError('FORBIDDEN', `only the broker writes to the topic ${topic.topic}`);
    const queueId = head.queueId < 0 ? this.turn++ % topic.queues : head.queueId;
    checkQueue(topic, queueId);
    const link = core.links.ofQueue(topic.topicId, queueId);
    if (!link.isRunning) throw link.refusal();
    const isBatch = head.batch || request.code === REQUEST_CODES.SEND_BATCH_MESSAGE;
    const bytesMax = Math.min(BATCH_BYTES_MAX, link.batchBytesMax);
    this.builder.reset('');
    if (isBatch) this.appendBatch(request, head, body, bytesMax);
    else this.append(request, head, body, head, [head.properties], bytesMax);
    const uniqueKey = isBatch ? undefined : this.record.uniqueKey;
    const { isHalf } = this.record;
    const dueAtMs = isBatch ? NOT_DEFERRED : this.dueAtMs();
    const waiter = new SendWaiter(this.context, request, link.shard, queueId, uniqueKey);
    const deadlineMs = core.clock.monotonicMs() + SHARD_ANSWER_MS_MAX;
    const correlation = core.pending.add(link.shard, waiter, deadlineMs);
    const batch = this.builder.finish(0, 0);
    const target = { topicId: topic.topicId, queueId };
    const isTaken =
      dueAtMs === NOT_DEFERRED
        ? link.produce(0, correlation, topic.topicId, queueId, batch, 0)
        : link.defer(0, correlation, target, { dueAtMs, isHalf }, batch, 0);
    if (isTaken) {
      if (this.record.asksReply) prepareReplies(this.context);
      if (isHalf) this.context.halfSenders.sent(head.producerGroup, request.connection);
      core.counters.batchesIn += 1;
      core.backPressure.afterRequest(request.connection, link);
      return;
    }
    core.pending.take(correlation);
    core.backPressure.crowded(request.connection, link);
    throw busy(link);
  }

  /** When the record is to be seen, or its producer asked what became of its transaction. */
  private dueAtMs(): number {
    const { record, context } = this;
    const { delays, transactions } = context.core;
    return record.isHalf
      ? transactions.firstCheckAtMs(record.firstCheckMs)
      : record.deferral.dueAtMs(delays);
  }

  /** @throws BAD_FRAME, MESSAGE_TOO_LARGE, INVALID_ARGUMENT */
  private appendBatch(
    request: RemotingRequest,
    head: SendHead,
    body: Uint8Array,
    bytesMax: number,
  ): void {
    const { batchBody } = this;
    const { sysFlag } = head;
    batchBody.open(body);
    while (batchBody.next()) {
      const { flag, properties } = batchBody;
      const flags = { sysFlag, flag, reconsumeTimes: 0 };
      const texts = [properties, head.properties];
      this.append(request, head, batchBody.body, flags, texts, bytesMax);
      if (this.record.deferral.isGiven || this.record.isHalf) throw notInBatch();
    }
    if (batchBody.refusal !== undefined) throw new SluiceError('BAD_FRAME', batchBody.refusal);
    if (this.builder.recordCount === 0)
      throw new SluiceError('BAD_FRAME', 'the batch has no messages');
  }

  /** @throws MESSAGE_TOO_LARGE, INVALID_ARGUMENT */
  private append(
    request: RemotingRequest,
    head: SendHead,
    body: Uint8Array,
    { sysFlag, flag, reconsumeTimes }: Flags,
    properties: readonly string[],
    bytesMax: number,
  ): void {
    const { bodyBytesMax } = this.context.core.config;
    if (body.length > bodyBytesMax) throw bodyTooLarge(body.length, bodyBytesMax);
    // Whoever sees half of a transaction sees it committed.
    const isPrepared = (sysFlag & TRANSACTION_MASK) === TRANSACTION_PREPARED;
    const seenFlag = isPrepared ? (sysFlag & ~TRANSACTION_MASK) | TRANSACTION_COMMIT : sysFlag;
    const flags = { sysFlag: seenFlag, flag, reconsumeTimes, preparedTransactionOffset: 0 };
    this.record.fill(body, originText(request.connection.bornHex, flags), ...properties);
    const bornAtMs = Math.max(0, head.bornTimestamp);
    if (this.builder.append(this.record, recordBytes(this.record), bytesMax, bornAtMs)) return;
    const text = `the messages take more than ${bytesMax} bytes`;
    throw new SluiceError('MESSAGE_TOO_LARGE', text, { hint: 'Send fewer messages at once.' });
  }
}

function notInBatch(): SluiceError {
  const text = 'a batch has no delayed messages, and none of a transaction';
  const refusal = new SluiceError('INVALID_ARGUMENT', text, { hint: 'Send them one by one.' });
  return new CodedError(RESPONSE_CODES.MESSAGE_ILLEGAL, refusal);
}

/** Answers a send when its batch is as safe as promised. */
class SendWaiter implements Waiter {
  private readonly context: RemotingContext;
  private readonly request: RemotingRequest;
  private readonly shard: number;
  private readonly queueId: number;
  private readonly uniqueKey: string | undefined;

  constructor(
    context: RemotingContext,
    request: RemotingRequest,
    shard: number,
    queueId: number,
    uniqueKey: string | undefined,
  ) {
    this.context = context;
    this.request = request;
    this.shard = shard;
    this.queueId = queueId;
    this.uniqueKey = uniqueKey;
  }

  replied(_type: number, _bytes: Uint8Array, view: DataView, at: number): void {
    const { context, shard, queueId, uniqueKey } = this;
    context.core.counters.batchesStored += 1;
    const position = getU64(view, at + envelope.PRODUCED_POSITION);
    const count = view.getUint32(at + envelope.PRODUCED_RECORD_COUNT, true);
    const flags = view.getUint8(at + envelope.PRODUCED_FLAGS);
    const isDeferred = (flags & envelope.PRODUCED_FLAG_DEFERRED) !== 0;
    let messageId = context.offsetMessageId(shard, position);
    for (let index = 1; index < count; index += 1)
      messageId += `,${context.offsetMessageId(shard, position + index)}`;
    const offset = isDeferred ? 0 : getU64(view, at + envelope.PRODUCED_BASE_OFFSET);
    const fields = placeFields(messageId, queueId, offset);
    if (uniqueKey !== undefined) fields.push('transactionId', uniqueKey);
    this.request.answer({ fields });
  }

  failed(error: SluiceError): void {
    const code = STORED_ALL_THE_SAME.get(error.code);
    if (code === undefined) this.request.refuse(error);
    else this.request.answer({ code, remark: error.message, fields: this.unknownPlace() });
  }

  /** Clients read where the message is from such an answer too; at what offset this broker cannot say yet. */
  private unknownPlace(): FieldList {
    return placeFields(this.context.offsetMessageId(this.shard, 0), this.queueId, -1);
  }
}

function placeFields(messageId: string, queueId: number, queueOffset: number): string[] {
  const fields = ['msgId', messageId, 'queueId', String(queueId)];
  fields.push('queueOffset', String(queueOffset));
  fields.push('MSG_REGION', DEFAULT_REGION, 'TRACE_ON', 'true');
  return fields;
}

/** Sends of messages and batches. */
export function sendHandlers(context: RemotingContext): HandlerTable {
  const { send } = new Sends(context);
  return [
    [REQUEST_CODES.SEND_MESSAGE, send],
    [REQUEST_CODES.SEND_MESSAGE_V2, send],
    [REQUEST_CODES.SEND_BATCH_MESSAGE, send],
  ];
}
