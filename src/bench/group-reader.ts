/**
 * Reads topics to their end as the only member of a fresh group, by DELIVER frames on a socket of its own: the checker
 * shares no code with the client that it checks. Every batch's checksum is verified. Event loop.
 */

import { setU64 } from '../base/bytes.ts';
import { type Clock, startInterval } from '../base/clock.ts';
import { crc32 } from '../base/crc32-native.ts';
import { SluiceError } from '../base/errors.ts';
import { CREDIT_MAX, LEASE_MS_MAX } from '../base/limits.ts';
import { checkBatch } from '../protocol/batch/batch-check.ts';
import { STORED_HEADER_BYTES } from '../protocol/batch/batch-layout.ts';
import { decodeDeliverHeader, newDeliverHeader } from '../protocol/web/binary-codec.ts';
import * as frames from '../protocol/web/frames-layout.ts';
import { addRecords, SequenceRuns } from './batch-sequences.ts';
import { ControlCalls, refusalOf } from './control-calls.ts';
import type { LoadTopic } from './load.ts';
import type { MessageLedger } from './message-ledger.ts';
import { QueueNumbers } from './producer-lanes.ts';
import { QueueCursor } from './queue-cursor.ts';
import { clientFrame, OPCODE_BINARY } from './ws-frames.ts';
import { WsSocket } from './ws-socket.ts';

/** Topics subscribed to at a time; a connection may have 64 subscriptions. */
const TOPICS_AT_ONCE = 32;
/** Milliseconds without any message after which the rest counts as not there. */
const SILENCE_MS = 60_000;
const CHECK_INTERVAL_MS = 50;
const ACTION_ACK = 1;
/** SETTLE frames without an answer, well within a connection's window; what is to be acked meanwhile shares the next ones. */
const SETTLES_UNANSWERED_MAX = 256;

export type GroupReaderOptions = {
  readonly url: string;
  readonly token: string | undefined;
  readonly topics: readonly LoadTopic[];
  readonly group: string;
  readonly ledger: MessageLedger;
  /** One past the last offset of each queue, by running number; where it ends there. */
  readonly endOffsets: Float64Array;
  readonly clock: Clock;
  /** Told how many messages were read, now and then. */
  readonly onProgress: (messages: number) => void;
};

/** What was found beside the messages. */
export type ReadBack = { readonly messages: number; readonly corruptBatches: number };

/** Acks of one subscription that go out together. */
type Acks = { readonly ranges: number[]; records: number };
const NUMBERS_PER_RANGE = 4;

export class GroupReader {
  private readonly options: GroupReaderOptions;
  private readonly calls: ControlCalls;
  private readonly queues: QueueNumbers;
  private readonly runs: SequenceRuns;
  private readonly header = newDeliverHeader();
  private readonly cursors: readonly QueueCursor[];
  private readonly acks = new Map<number, Acks>();
  private settles = 0;
  private settlesUnanswered = 0;
  private socket: WsSocket | undefined;
  private messages = 0;
  private corruptBatches = 0;
  private heardAtMs = 0;
  private failure: SluiceError | undefined;

  constructor(options: GroupReaderOptions) {
    this.options = options;
    this.calls = new ControlCalls((frame) => this.socket?.send(frame));
    this.queues = new QueueNumbers(options.topics);
    this.runs = new SequenceRuns(options.ledger);
    this.cursors = Array.from({ length: this.queues.count }, () => new QueueCursor());
  }

  /** Reads everything. @throws DISCONNECTED, the broker's refusals */
  async read(): Promise<ReadBack> {
    const { url, token, topics } = this.options;
    this.socket = await WsSocket.open(url, {
      frame: (opcode, at, length) => this.take(opcode, at, length),
      turn: () => this.answer(),
      closed: (error) => {
        this.failure ??= error ?? new SluiceError('CLOSED');
        this.calls.fail(this.failure);
      },
    });
    try {
      if (token !== undefined) await this.calls.call({ op: 'hello', token });
      for (let first = 0; first < topics.length; first += TOPICS_AT_ONCE)
        await this.readTopics(topics.slice(first, first + TOPICS_AT_ONCE));
    } finally {
      this.socket.close();
    }
    this.runs.flush();
    return { messages: this.messages, corruptBatches: this.corruptBatches };
  }

  private async readTopics(topics: readonly LoadTopic[]): Promise<void> {
    const { group, clock } = this.options;
    this.heardAtMs = clock.monotonicMs();
    const subscriptions: unknown[] = [];
    for (const { topic } of topics) {
      const answer = await this.calls.call({
        op: 'subscribe',
        topic,
        group,
        from: 'earliest',
        credit: CREDIT_MAX,
        leaseMs: LEASE_MS_MAX,
      });
      subscriptions.push(answer['subscription']);
    }
    await this.untilRead(topics);
    for (const subscription of subscriptions)
      await this.calls.call({ op: 'unsubscribe', subscription });
  }

  /** Resolves when the queues of these topics are read to their end, or nothing comes any more. */
  private untilRead(topics: readonly LoadTopic[]): Promise<void> {
    const { clock, onProgress } = this.options;
    return new Promise((resolve, reject) => {
      const stop = startInterval(CHECK_INTERVAL_MS, () => {
        onProgress(this.messages);
        const isSilent = clock.monotonicMs() - this.heardAtMs > SILENCE_MS;
        if (this.failure === undefined && !isSilent && !this.isAtEnd(topics)) return;
        stop();
        if (this.failure === undefined) resolve();
        else reject(this.failure);
      });
    });
  }

  private isAtEnd(topics: readonly LoadTopic[]): boolean {
    const { endOffsets } = this.options;
    return topics.every(({ topicId, queues }) => {
      const first = this.queues.of(topicId, 0);
      for (let queue = first; queue < first + queues; queue += 1)
        if ((this.cursors[queue] as QueueCursor).next < (endOffsets[queue] as number)) return false;
      return true;
    });
  }

  private take(opcode: number, at: number, length: number): void {
    const { socket } = this;
    if (socket === undefined || opcode !== OPCODE_BINARY) return;
    const kind = socket.bytes[at];
    if (kind === frames.FRAME_DELIVER) this.deliver(socket, at, length);
    else if (kind === frames.FRAME_CONTROL) {
      const unasked = this.calls.take(socket.bytes.slice(at, at + length));
      if (unasked?.op === 'error') throw refusalOf(unasked.answer);
      if (unasked?.op === 'ok') this.settlesUnanswered -= 1;
    }
  }

  private deliver(socket: WsSocket, at: number, length: number): void {
    const { header } = this;
    const view = new DataView(socket.bytes.buffer, at, length);
    const verdict = decodeDeliverHeader(view, header);
    if (verdict !== 'ok')
      throw new SluiceError('BAD_FRAME', `a DELIVER frame is wrong: ${verdict}`);
    this.heardAtMs = this.options.clock.monotonicMs();
    this.noteAck(header.subscription);
    const queue = this.queues.of(header.topicId, header.queueId);
    const batchAt = frames.DELIVER_STORED_BATCH + STORED_HEADER_BYTES;
    const bytes = new Uint8Array(socket.bytes.buffer, at, length);
    const isWhole = checkBatch(bytes, view, batchAt, length - batchAt, crc32) === 'ok';
    if (!isWhole) this.corruptBatches += 1;
    const cursor = this.cursors[queue];
    if (cursor === undefined) return;
    const offset = header.baseQueueOffset + header.firstIndex;
    // Delivered again, as a whole or in part: it was counted when it came first.
    const known = cursor.take(offset, header.count);
    const fresh = header.count - known;
    this.messages += fresh;
    if (isWhole && fresh > 0)
      addRecords(this.runs, queue, view, batchAt, header.firstIndex + known, fresh);
  }

  private noteAck(subscription: number): void {
    const { queueId, count, baseQueueOffset, firstIndex, leaseId } = this.header;
    let acks = this.acks.get(subscription);
    if (acks === undefined) {
      acks = { ranges: [], records: 0 };
      this.acks.set(subscription, acks);
    }
    acks.ranges.push(queueId, count, baseQueueOffset + firstIndex, leaseId);
    acks.records += count;
  }

  /** All deliveries of one read are acked together, and paid for with as much credit. */
  private answer(): void {
    for (const [subscription, acks] of this.acks) {
      if (acks.records === 0) continue;
      if (this.settlesUnanswered >= SETTLES_UNANSWERED_MAX) return;
      const ranges = acks.ranges.splice(0, NUMBERS_PER_RANGE * frames.SETTLE_RANGES_MAX);
      this.settles += 1;
      this.settlesUnanswered += 1;
      const frame = settleFrame(subscription, this.settles, ranges);
      this.socket?.write(clientFrame(OPCODE_BINARY, frame));
      if (acks.ranges.length > 0) continue;
      this.calls.tell({ op: 'credit', subscription, more: acks.records });
      acks.records = 0;
    }
  }
}

function settleFrame(
  subscription: number,
  correlationId: number,
  ranges: readonly number[],
): Uint8Array {
  const count = ranges.length / NUMBERS_PER_RANGE;
  const frame = new Uint8Array(frames.SETTLE_HEADER_BYTES + count * frames.RANGE_BYTES);
  const view = new DataView(frame.buffer);
  view.setUint8(frames.FRAME_KIND, frames.FRAME_SETTLE);
  view.setUint8(frames.SETTLE_ACTION, ACTION_ACK);
  view.setUint16(frames.SETTLE_RANGE_COUNT, count, true);
  view.setUint32(frames.SETTLE_CORRELATION_ID, correlationId, true);
  view.setUint32(frames.SETTLE_SUBSCRIPTION, subscription, true);
  for (let index = 0; index < count; index += 1) {
    const at = frames.SETTLE_RANGES + index * frames.RANGE_BYTES;
    const [queueId = 0, records = 0, offset = 0, leaseId = 0] = ranges.slice(
      index * NUMBERS_PER_RANGE,
      (index + 1) * NUMBERS_PER_RANGE,
    );
    view.setUint16(at + frames.RANGE_QUEUE_ID, queueId, true);
    view.setUint32(at + frames.RANGE_COUNT, records, true);
    setU64(view, at + frames.RANGE_OFFSET, offset);
    setU64(view, at + frames.RANGE_LEASE_ID, leaseId);
  }
  return frame;
}
