/**
 * What goes over WebSockets in binary and between threads, made by the production encoders from fixed values: one sample of
 * every kind of frame and of every record of the rings.
 */
import { PendingRequests } from '../acceptor/pending-requests.ts';
import { ShardLink } from '../acceptor/shard-link.ts';
import {
  controlWriter,
  fetchWriter,
  flowWriter,
  type RecordWriter,
  settleRequestBytes,
  settleWriter,
} from '../acceptor/shard-requests.ts';
import { TailWindow } from '../log/tail-window.ts';
import { KIND_DATA } from '../protocol/batch/batch-layout.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import * as binary from '../protocol/web/binary-codec.ts';
import { encodeControl } from '../protocol/web/control-codec.ts';
import * as layout from '../protocol/web/frames-layout.ts';
import { RingConsumer } from '../ring/ring-consumer.ts';
import { RING_DATA, ringBytes } from '../ring/ring-layout.ts';
import { RingProducer } from '../ring/ring-producer.ts';
import { ShardPort } from '../shard/shard-port.ts';
import { type FrameRange, sendBatchFrame, settleFrame } from './batch-frames.ts';
import type { GoldenSamples } from './golden.ts';
import { SAMPLE_PLACE, sampleBatch, storedBatch } from './golden-log.ts';
import { SimClock } from './sim-clock.ts';

const RING_CAPACITY_BYTES = 32 * 1024;
const TAIL_BYTES = 64 * 1024;
const encoder = new TextEncoder();

/** Above 32 bits. */
export const SAMPLE_DELAY_MS = 0x1_0000_0005;

export const SAMPLE_RECEIPTS: readonly Readonly<binary.ReceiptEntry>[] = [
  {
    correlationId: 0xffff_fffe,
    queueId: 5,
    durability: layout.DURABILITY_DISK,
    duplicate: false,
    deferred: false,
    baseQueueOffset: SAMPLE_PLACE.baseOffset,
    position: SAMPLE_PLACE.position,
    recordCount: 2,
    shard: 1,
  },
  {
    correlationId: 7,
    queueId: 0,
    durability: layout.DURABILITY_MEMORY,
    duplicate: true,
    deferred: false,
    baseQueueOffset: -1,
    position: 0,
    recordCount: 1,
    shard: 0,
  },
];

export const SAMPLE_DELIVERY: Readonly<binary.DeliverHeader> = {
  queueId: 5,
  subscription: 0x8000_0001,
  baseQueueOffset: SAMPLE_PLACE.baseOffset,
  firstIndex: 1,
  count: 1,
  attempt: 3,
  shard: 1,
  leaseId: 0x3_0000_0009,
  leaseMs: 30_000,
  topicId: 9,
  hasSelection: false,
};

export const SAMPLE_RANGES: readonly FrameRange[] = [
  { queueId: 5, queueOffset: SAMPLE_PLACE.baseOffset, count: 2, leaseId: 0x3_0000_0009 },
  { queueId: 0, queueOffset: 0, count: 1, leaseId: 1 },
];

/** The objects of the CONTROL samples; a credit has no id, so that it is answered by nothing. */
export const SAMPLE_REQUESTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  subscribe: {
    op: 'subscribe',
    id: 3,
    topic: 'orders',
    group: 'billing',
    filter: 'created || paid',
    from: 'earliest',
    credit: 100,
  },
  credit: { op: 'credit', subscription: 3, more: 50 },
  send: {
    op: 'send',
    id: 'x',
    topic: 'orders',
    messages: [{ body: { deep: [1, -2, 4.5, null, true] }, properties: { shop: '7' } }],
  },
  error: {
    op: 'error',
    id: 1,
    code: 'BUSY',
    retryable: true,
    retryAfterMs: 40,
    stored: false,
    message: 'the shard is busy',
    hint: 'Wait.',
  },
};

function receiptsFrame(): Uint8Array {
  const frame = new Uint8Array(binary.receiptsBytes(SAMPLE_RECEIPTS.length));
  binary.encodeReceiptsHeader(binary.viewOf(frame), SAMPLE_RECEIPTS.length);
  for (const [index, entry] of SAMPLE_RECEIPTS.entries())
    binary.encodeReceipt(binary.viewOf(frame), index, entry);
  return frame;
}

/** @param selection - empty for none */
function deliverFrame(...selection: readonly number[]): Uint8Array {
  const stored = storedBatch(KIND_DATA, sampleBatch());
  const storedEnd = layout.DELIVER_HEADER_BYTES + stored.length;
  const frame = new Uint8Array(storedEnd + selection.length);
  const hasSelection = selection.length > 0;
  binary.encodeDeliverHeader(binary.viewOf(frame), { ...SAMPLE_DELIVERY, hasSelection });
  frame.set(stored, layout.DELIVER_STORED_BATCH);
  frame.set(selection, storedEnd);
  return frame;
}

/** Binary frames by the names of their golden files. */
export function frameSamples(): GoldenSamples {
  const settle = { subscription: 0x8000_0001, ranges: SAMPLE_RANGES };
  const nack = { action: layout.SETTLE_NACK, argument: layout.SETTLE_DELAY_DEFAULT };
  const controls = Object.entries(SAMPLE_REQUESTS).map(([name, request]) => [
    `frames/control-${name}-v1.bin`,
    encodeControl(request),
  ]);
  return {
    ...(Object.fromEntries(controls) as GoldenSamples),
    'frames/send-batch-v1.bin': sendBatchFrame({
      topicId: 9,
      queueId: 5,
      correlationId: 0xffff_fffe,
      messages: ['a', { body: 'b', key: 'k', tag: 't' }],
      producer: { id: 'tab-1', sequence: 40 },
    }),
    'frames/send-batch-delayed-v1.bin': sendBatchFrame({
      ...{ topicId: 9, queueId: 5, correlationId: 7, messages: ['a', 'b'] },
      deferral: { delayMs: SAMPLE_DELAY_MS },
    }),
    'frames/receipts-v1.bin': receiptsFrame(),
    'frames/deliver-v1.bin': deliverFrame(),
    'frames/deliver-selection-v1.bin': deliverFrame(1),
    'frames/settle-ack-v1.bin': settleFrame({
      ...settle,
      action: layout.SETTLE_ACK,
      correlationId: 0,
    }),
    'frames/settle-nack-v1.bin': settleFrame({
      ...{ ...settle, ...nack },
      correlationId: 6,
      reason: 'größer',
    }),
    'frames/settle-extend-v1.bin': settleFrame({
      ...settle,
      action: layout.SETTLE_EXTEND,
      correlationId: 8,
      argument: 60_000,
    }),
  };
}

/** One record of a ring, with its header and without what is behind it. */
class RingSample {
  private readonly memory = new SharedArrayBuffer(ringBytes(RING_CAPACITY_BYTES));
  readonly producer: RingProducer = new RingProducer(this.memory, 0, RING_CAPACITY_BYTES);

  bytes(): Uint8Array {
    const data = new Uint8Array(this.memory, RING_DATA);
    return data.slice(0, this.producer.usedBytes());
  }
}

function request(type: number, bytes: number, write: RecordWriter): Uint8Array {
  const ring = new RingSample();
  const at = ring.producer.claim(type, bytes);
  write(ring.producer.bytes, ring.producer.view, at);
  return ring.bytes();
}

/** A batch as the acceptor hands it over. */
function produceRequest(): Uint8Array {
  const ring = new RingSample();
  const port = {
    shard: 1,
    requests: ring.producer,
    replies: idleConsumer(),
    wake: (): void => {},
    tailView: (): undefined => undefined,
    state: 'running',
  } as const;
  const link = new ShardLink(port, new PendingRequests(), new SimClock());
  if (!link.produce(11, 12, 9, 5, sampleBatch(), 0)) throw new Error('a sample fits its ring');
  return ring.bytes();
}

function idleConsumer(): RingConsumer {
  const memory = new SharedArrayBuffer(ringBytes(RING_CAPACITY_BYTES));
  return new RingConsumer(memory, 0, RING_CAPACITY_BYTES);
}

function reply(write: (port: ShardPort) => boolean): Uint8Array {
  const ring = new RingSample();
  const tail = new TailWindow(new SharedArrayBuffer(TAIL_BYTES));
  if (!write(new ShardPort(idleConsumer(), ring.producer, tail, () => {})))
    throw new Error('a sample does not fit its ring');
  return ring.bytes();
}

/** Records of the rings by the names of their golden files. */
export function ringSamples(): GoldenSamples {
  const json = encoder.encode(JSON.stringify({ op: 'topicStatus', topicId: 9 }));
  const settle = {
    session: 11,
    correlation: 12,
    groupId: 4,
    topicId: 9,
    action: envelope.SETTLE_NACK,
    argument: envelope.SETTLE_DELAY_DEFAULT,
    ranges: SAMPLE_RANGES,
    reason: encoder.encode('größer'),
  };
  const fetch = {
    correlation: 12,
    topicId: 9,
    queueId: 5,
    offset: SAMPLE_PLACE.baseOffset,
    messagesMax: 32,
    bytesMax: 65_536,
    waitMs: 1000,
  };
  const { position, baseOffset } = SAMPLE_PLACE;
  const extent = { position, baseOffset, batchBytes: 192, firstIndex: 1, count: 1, isCold: true };
  return {
    'ring/request-produce-v1.bin': produceRequest(),
    'ring/request-settle-v1.bin': request(
      envelope.REQUEST_SETTLE,
      settleRequestBytes(settle),
      settleWriter(settle),
    ),
    'ring/request-flow-v1.bin': request(
      envelope.REQUEST_FLOW,
      envelope.FLOW_BYTES,
      flowWriter(0x8000_0001, envelope.FLOW_ADD, 50),
    ),
    'ring/request-fetch-v1.bin': request(
      envelope.REQUEST_FETCH,
      envelope.FETCH_BYTES,
      fetchWriter(fetch),
    ),
    'ring/request-control-v1.bin': request(
      envelope.REQUEST_CONTROL,
      envelope.CONTROL_JSON + json.length,
      controlWriter(12, json),
    ),
    'ring/reply-produced-v1.bin': reply((port) =>
      port.produced({
        ...{ session: 11, correlation: 12, queueId: 5, flags: envelope.PRODUCED_FLAG_DUPLICATE },
        ...{ durability: envelope.DURABILITY_DISK, count: 2, baseOffset, batchPosition: position },
      }),
    ),
    'ring/reply-failed-v1.bin': reply((port) =>
      port.failed(11, 12, envelope.REQUEST_PRODUCE, 'BUSY', 'the shard is busy', 40),
    ),
    'ring/reply-settled-v1.bin': reply((port) => port.settled(11, 12)),
    'ring/reply-control-v1.bin': reply((port) => port.control(11, 12, { ok: true })),
    'ring/reply-event-v1.bin': reply((port) => port.event({ event: 'writable' })),
    'ring/reply-deliver-v1.bin': reply((port) =>
      port.deliver(0x8000_0001, 9, 5, extent, {
        ...{ id: 0x3_0000_0009, attempt: 3, leaseMs: 30_000, returnsKnown: 7 },
      }),
    ),
    'ring/reply-fetched-v1.bin': reply((port) =>
      port.fetched(11, 12, { min: 0, max: baseOffset + 2, next: baseOffset + 1 }, [extent]),
    ),
  };
}
