/** One connection of the fake broker: frames in, answers and deliveries out. */
import type { WebSocket } from 'ws';
import type { ErrorCode } from '../base/error-codes.ts';
import { CompiledFilters } from '../filter/compiled-filters.ts';
import type { RecordMatcher } from '../filter/record-matcher.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { isSqlFilter } from '../protocol/subscription-filter.ts';
import {
  decodeSendBatchHeader,
  encodeDeliverHeader,
  encodeReceipt,
  encodeReceiptsHeader,
  newDeliverHeader,
  newReceiptEntry,
  newSendBatchHeader,
  receiptsBytes,
  viewOf,
} from '../protocol/web/binary-codec.ts';
import { parseFilterField } from '../protocol/web/consume-fields.ts';
import { decodeControl, encodeControl } from '../protocol/web/control-codec.ts';
import {
  DELIVER_HEADER_BYTES,
  DURABILITY_DISK,
  FRAME_CONTROL,
  FRAME_SEND_BATCH,
  FRAME_SETTLE,
  SEND_BATCH,
  SETTLE_EXTEND,
  SETTLE_NACK,
} from '../protocol/web/frames-layout.ts';
import {
  decodeSettleHeader,
  decodeSettleRange,
  decodeSettleReason,
  newSettleHeader,
  newSettleRange,
} from '../protocol/web/settle-codec.ts';
import type { FakeBroker, FakeSend } from './fake-broker.ts';
import {
  type FakeDelivery,
  type FakeGroupQueue,
  type FakeVerdict,
  fakeError,
  wantedOf,
} from './fake-broker-store.ts';

type FakeSubscription = {
  readonly number: number;
  readonly topic: string;
  readonly group: string;
  readonly queues: readonly FakeGroupQueue[];
  readonly leaseMs: number;
  readonly matcher: RecordMatcher | null;
  /** Is the client told which records are its? With tags it knows. */
  readonly isSelecting: boolean;
  credit: number;
};

export class FakeConnection {
  readonly subscriptions: Map<number, FakeSubscription> = new Map();
  private readonly broker: FakeBroker;
  private readonly socket: WebSocket;
  private isOpen = true;

  constructor(broker: FakeBroker, socket: WebSocket) {
    this.broker = broker;
    this.socket = socket;
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (broker.isSilent || !this.isOpen) return;
      if (isBinary) this.binary(new Uint8Array(data));
      else this.request(JSON.parse(data.toString()) as Record<string, unknown>, true);
    });
    socket.on('error', () => {});
    socket.on('close', () => this.ended());
  }

  cut(): void {
    this.socket.terminate();
    this.ended();
  }

  /** Sends what the credit of its subscriptions allows. */
  deliver(): void {
    for (const subscription of this.subscriptions.values()) {
      subscription.queues.forEach((queue, queueId) => {
        for (;;) {
          const delivery = queue.deliver(subscription.credit);
          if (delivery === undefined) break;
          const wanted = wantedOf(subscription.matcher, queue, delivery);
          subscription.credit -= wanted.count;
          if (wanted.count > 0)
            this.send(this.deliverFrame(subscription, queueId, delivery, wanted.selection));
        }
      });
    }
  }

  private ended(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.broker.connections.delete(this);
    for (const { queues } of this.subscriptions.values())
      for (const queue of queues) queue.release();
    this.subscriptions.clear();
    this.broker.deliver();
  }

  private send(frame: Uint8Array | string): void {
    if (this.isOpen && !this.broker.isSilent) this.socket.send(frame);
  }

  private binary(frame: Uint8Array): void {
    if (frame[0] === FRAME_SEND_BATCH) this.sendBatch(frame);
    else if (frame[0] === FRAME_SETTLE) this.settle(frame);
    else if (frame[0] === FRAME_CONTROL) {
      const decoded = decodeControl(frame);
      if (decoded.verdict !== 'ok') throw new Error(`the client sent ${decoded.verdict}`);
      this.request(decoded.value, false);
    } else throw new Error(`the client sent a frame of kind ${frame[0]}`);
  }

  private sendBatch(frame: Uint8Array): void {
    const { broker } = this;
    const header = newSendBatchHeader();
    const view = viewOf(frame);
    const verdict = decodeSendBatchHeader(view, header);
    if (verdict !== 'ok') throw new Error(`the client sent a batch that is ${verdict}`);
    const { correlationId, topicId, queueId } = header;
    const reader = new BatchReader().open(frame, view, SEND_BATCH);
    const send: FakeSend = {
      topicId,
      queueId,
      correlationId,
      sequence: reader.sequence,
      epoch: reader.producerEpoch,
      count: reader.recordCount,
      producerId: reader.producerId,
      index: broker.sends.length,
    };
    broker.sends.push(send);
    const reaction = broker.react(send);
    if (reaction === 'drop') {
      broker.drop();
      return;
    }
    if (typeof reaction === 'object') {
      this.control({ ...fakeError(reaction.code, reaction.retryAfterMs), id: correlationId });
      return;
    }
    const topic = [...broker.topics.values()].find((one) => one.topicId === topicId);
    const queue = topic?.queues[queueId];
    if (queue === undefined) {
      this.control({ ...fakeError('TOPIC_NOT_FOUND', undefined), id: correlationId });
      return;
    }
    const result = queue.append(frame.slice(SEND_BATCH));
    const answer = (): void => this.answerSend(send, result);
    if (reaction === 'store') answer();
    else if (reaction === 'hold-answer') broker.hold(answer);
    else if (reaction === 'store-and-drop') broker.drop();
    broker.deliver();
  }

  private answerSend(send: FakeSend, result: FakeVerdict): void {
    if (result.kind === 'error') {
      this.control({ ...fakeError(result.code as ErrorCode, undefined), id: send.correlationId });
      return;
    }
    const frame = new Uint8Array(receiptsBytes(1));
    encodeReceiptsHeader(viewOf(frame), 1);
    encodeReceipt(viewOf(frame), 0, {
      ...newReceiptEntry(),
      correlationId: send.correlationId,
      queueId: send.queueId,
      durability: DURABILITY_DISK,
      duplicate: result.kind === 'duplicate',
      baseQueueOffset: result.baseOffset,
      position: result.position,
      recordCount: send.count,
      shard: 2,
    });
    this.send(frame);
  }

  private settle(frame: Uint8Array): void {
    const header = newSettleHeader();
    const view = viewOf(frame);
    const verdict = decodeSettleHeader(view, header);
    if (verdict !== 'ok') throw new Error(`the client sent a SETTLE that is ${verdict}`);
    const action =
      header.action === SETTLE_NACK ? 'nack' : header.action === SETTLE_EXTEND ? 'extend' : 'ack';
    const reason = decodeSettleReason(frame, header);
    const ranges = Array.from({ length: header.rangeCount }, (_, index) => {
      const range = newSettleRange();
      decodeSettleRange(view, index, range);
      return range;
    });
    this.broker.settles.push({
      action,
      argument: header.argument,
      reason,
      ranges: ranges.map(({ queueId, queueOffset, count }) => ({ queueId, queueOffset, count })),
    });
    const code = this.broker.refuse({ op: action, settle: true });
    if (code !== undefined) {
      this.control({ ...fakeError(code, 1), id: header.correlationId });
      return;
    }
    const subscription = this.subscriptions.get(header.subscription);
    let isWhole = subscription !== undefined;
    if (action !== 'extend')
      for (const { queueId, queueOffset, count, leaseId } of ranges)
        isWhole =
          subscription?.queues[queueId]?.settle(action, queueOffset, count, leaseId, reason) ===
            true && isWhole;
    const answer = isWhole ? { op: 'ok' } : fakeError('LEASE_EXPIRED', undefined);
    if (header.correlationId !== 0) this.control({ ...answer, id: header.correlationId });
    this.deliver();
  }

  private request(request: Readonly<Record<string, unknown>>, asText: boolean): void {
    const { broker } = this;
    broker.requests.push(request);
    const { id } = request;
    const answer = (value: Record<string, unknown>): void => {
      const frame = { ...value, ...(id === undefined ? {} : { id }) };
      if (asText) this.send(JSON.stringify(frame));
      else this.control(frame);
    };
    const code = broker.refuse(request);
    if (code !== undefined) answer(fakeError(code, 5));
    else this.carryOut(request, answer);
  }

  private carryOut(
    request: Readonly<Record<string, unknown>>,
    answer: (value: Record<string, unknown>) => void,
  ): void {
    const { broker } = this;
    const topicName = String(request['topic']);
    switch (request['op']) {
      case 'hello':
        if (broker.token !== undefined && request['token'] !== broker.token)
          answer(fakeError('UNAUTHENTICATED', undefined));
        else
          answer({
            op: 'welcome',
            version: 1,
            broker: { name: broker.name, address: '127.0.0.1', port: broker.port },
            limits: broker.limits,
            authenticated: broker.token !== undefined,
          });
        return;
      case 'topic': {
        const { topic, topicId, queues } = broker.topic(topicName);
        answer({ op: 'topic', topic, topicId, queues: queues.length });
        return;
      }
      case 'subscribe':
        this.subscribe(request, answer);
        return;
      case 'unsubscribe': {
        const number = request['subscription'] as number;
        for (const queue of this.subscriptions.get(number)?.queues ?? []) queue.release();
        this.subscriptions.delete(number);
        answer({ op: 'ok' });
        broker.deliver();
        return;
      }
      case 'credit': {
        const subscription = this.subscriptions.get(request['subscription'] as number);
        if (subscription === undefined) return;
        const more = request['more'] as number | undefined;
        const taken = Math.min((request['less'] as number | undefined) ?? 0, subscription.credit);
        subscription.credit += more ?? -taken;
        broker.creditGiven += more ?? -taken;
        if (more === undefined) answer({ op: 'ok', taken });
        this.deliver();
        return;
      }
      case 'seek':
        for (const queue of broker.group(String(request['group']), topicName, 'earliest'))
          queue.seek(0);
        answer({ op: 'ok' });
        broker.deliver();
        return;
      case 'fetch':
        this.fetch(request, answer);
        return;
      default:
        answer(request['op'] === 'ping' ? { op: 'pong' } : fakeError('UNKNOWN_REQUEST', undefined));
    }
  }

  private subscribe(
    request: Readonly<Record<string, unknown>>,
    answer: (value: Record<string, unknown>) => void,
  ): void {
    const { broker } = this;
    const topic = String(request['topic']);
    const group = String(request['group']);
    const from = request['from'] === 'earliest' ? 'earliest' : 'latest';
    const filter = parseFilterField(request['filter']);
    const number = broker.connectionCount * 100 + this.subscriptions.size + 1;
    answer({ op: 'subscribed', subscription: number, group, topic });
    broker.creditGiven += request['credit'] as number;
    this.subscriptions.set(number, {
      number,
      topic,
      group,
      queues: broker.group(group, topic, from),
      leaseMs: request['leaseMs'] as number,
      credit: request['credit'] as number,
      matcher: new CompiledFilters().ofSubscription(filter),
      isSelecting: isSqlFilter(filter),
    });
    this.deliver();
  }

  private fetch(
    request: Readonly<Record<string, unknown>>,
    answer: (value: Record<string, unknown>) => void,
  ): void {
    const offset = request['offset'] as number;
    const queue = this.broker.topic(String(request['topic'])).queues[request['queueId'] as number];
    const all = queue?.messages ?? [];
    const messages = all.slice(offset, offset + ((request['max'] as number | undefined) ?? 32));
    answer({
      op: 'fetched',
      messages: messages.map(({ queueId, queueOffset, key, tag, text, properties }) => ({
        topic: request['topic'],
        queueId,
        queueOffset,
        messageId: '0'.repeat(32),
        key: key || null,
        tag: tag || null,
        properties,
        body: text.startsWith('base64:') ? { $bytes: text.slice('base64:'.length) } : text,
        storedAt: 1_760_000_000_000,
      })),
      nextOffset: offset + messages.length,
      minOffset: 0,
      maxOffset: all.length,
    });
  }

  private deliverFrame(
    subscription: FakeSubscription,
    queueId: number,
    delivery: FakeDelivery,
    selection: Uint8Array,
  ): Uint8Array {
    const { batch, firstIndex, count, attempt, leaseId } = delivery;
    const hasSelection = subscription.isSelecting;
    const storedEnd = DELIVER_HEADER_BYTES + batch.stored.length;
    const frame = new Uint8Array(storedEnd + (hasSelection ? selection.length : 0));
    frame.set(batch.stored, DELIVER_HEADER_BYTES);
    if (hasSelection) frame.set(selection, storedEnd);
    encodeDeliverHeader(viewOf(frame), {
      ...newDeliverHeader(),
      queueId,
      subscription: subscription.number,
      baseQueueOffset: batch.baseOffset,
      firstIndex,
      count,
      attempt,
      shard: 2,
      leaseId,
      leaseMs: subscription.leaseMs,
      topicId: this.broker.topic(subscription.topic).topicId,
      hasSelection,
    });
    if (this.broker.isCorrupting) frame[frame.length - 12] = (frame[frame.length - 12] ?? 0) ^ 1;
    return frame;
  }

  private control(value: Record<string, unknown>): void {
    this.send(encodeControl(value));
  }
}
