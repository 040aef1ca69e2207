/** What a frame costs in each dialect, both directions: the binary headers, CONTROL (msgpack) and JSON. */

import {
  BATCH_MAGIC,
  STORED_BYTES,
  STORED_HEADER_BYTES,
  STORED_MAGIC,
} from '../../src/protocol/batch/batch-layout.ts';
import {
  checkReceipts,
  decodeDeliverHeader,
  decodeReceipt,
  decodeSendBatchHeader,
  encodeDeliverHeader,
  encodeReceipt,
  encodeReceiptsHeader,
  encodeSendBatchHeader,
  newDeliverHeader,
  newReceiptEntry,
  newSendBatchHeader,
  receiptsBytes,
} from '../../src/protocol/web/binary-codec.ts';
import { decodeControl, encodeControl } from '../../src/protocol/web/control-codec.ts';
import * as layout from '../../src/protocol/web/frames-layout.ts';
import {
  checkRequest,
  decodeJsonFrame,
  encodeJsonAnswer,
} from '../../src/protocol/web/json-codec.ts';
import {
  type Case,
  digestOf,
  keep,
  type MicroBenchmark,
  measureCases,
  type Plan,
} from '../harness.ts';
import { sampleBatch } from './sample-batches.ts';

/** Frames of one timed call. */
const FRAMES = 100;
const RECEIPTS = 64;

const SEND = {
  op: 'send',
  id: 7,
  topic: 'orders',
  body: { order: 17, total: 12.5, lines: ['a', 'b'] },
  key: 'order-17',
  tag: 'created',
  properties: { shop: '7' },
};
const SUBSCRIBE = {
  op: 'subscribe',
  id: 3,
  topic: 'orders',
  group: 'billing',
  filter: 'created || paid',
  credit: 1000,
};
const MESSAGE_FIELDS = {
  subscription: 3,
  topic: 'orders',
  queueId: 3,
  queueOffset: 12,
  messageId: '7f00000100002af80001000000001000',
  key: 'order-17',
  tag: 'created',
  properties: { shop: '7' },
  body: SEND.body,
  attempt: 1,
  storedAt: 1_760_000_000_000,
  token: 'AAAAAAAAAAAAAAAA',
};

export const dialectCodecs: MicroBenchmark = {
  name: 'dialect-codecs',
  about: 'SEND_BATCH, RECEIPTS, DELIVER, CONTROL and JSON, encoded and decoded',
  run: (plan) =>
    measureCases('dialect-codecs', plan, [
      ...sendBatchCases(plan),
      ...receiptsCases(),
      ...deliverCases(plan),
      ...controlCases(),
      ...jsonCases(),
    ]),
};

/** A case whose operation is one frame. @param work - handles one frame and returns what it made of it */
function frameCase(name: string, bytes: number, work: () => Uint8Array | string | number): Case {
  return {
    name,
    parameters: { frameBytes: bytes },
    operation: 'frames',
    operations: FRAMES,
    call: () => {
      for (let index = 0; index < FRAMES; index += 1) keep(work());
    },
    digest: () => digestOf(work()),
  };
}

function sendBatchCases(plan: Plan): readonly Case[] {
  const batch = sampleBatch('bare', 128, plan.seed);
  const frame = new Uint8Array(layout.SEND_HEADER_BYTES + batch.length);
  frame.set(batch, layout.SEND_BATCH);
  const view = new DataView(frame.buffer);
  const header = newSendBatchHeader();
  const encode = (): Uint8Array => {
    encodeSendBatchHeader(view, 3, 99, 1);
    return frame;
  };
  encode();
  return [
    frameCase('SEND_BATCH header, encode', frame.length, encode),
    frameCase('SEND_BATCH header, decode', frame.length, () =>
      decodeSendBatchHeader(view, header) === 'ok' ? header.correlationId : -1,
    ),
  ];
}

function receiptsCases(): readonly Case[] {
  const frame = new Uint8Array(receiptsBytes(RECEIPTS));
  const view = new DataView(frame.buffer);
  const entry = { ...newReceiptEntry(), durability: layout.DURABILITY_DISK, recordCount: 100 };
  const encode = (): Uint8Array => {
    encodeReceiptsHeader(view, RECEIPTS);
    for (let index = 0; index < RECEIPTS; index += 1) {
      entry.correlationId = index;
      entry.baseQueueOffset = index * 100;
      entry.position = index * 16_384;
      encodeReceipt(view, index, entry);
    }
    return frame;
  };
  encode();
  const decode = (): number => {
    let sum = 0;
    if (checkReceipts(view) !== 'ok') return -1;
    for (let index = 0; index < RECEIPTS; index += 1) {
      decodeReceipt(view, index, entry);
      sum += entry.position + entry.correlationId;
    }
    return sum;
  };
  return [
    frameCase(`RECEIPTS of ${RECEIPTS}, encode`, frame.length, encode),
    frameCase(`RECEIPTS of ${RECEIPTS}, decode`, frame.length, decode),
  ];
}

function deliverCases(plan: Plan): readonly Case[] {
  const batch = sampleBatch('bare', 128, plan.seed);
  const storedBytes = STORED_HEADER_BYTES + batch.length;
  const frame = new Uint8Array(layout.DELIVER_HEADER_BYTES + storedBytes);
  const view = new DataView(frame.buffer);
  frame.set(batch, layout.DELIVER_STORED_BATCH + STORED_HEADER_BYTES);
  view.setUint32(layout.DELIVER_STORED_BATCH + STORED_MAGIC, BATCH_MAGIC, true);
  view.setUint32(layout.DELIVER_STORED_BATCH + STORED_BYTES, storedBytes, true);
  const header = { ...newDeliverHeader(), subscription: 3, count: 10, attempt: 1, leaseId: 5 };
  const encode = (): Uint8Array => {
    encodeDeliverHeader(view, header);
    return frame;
  };
  encode();
  const into = newDeliverHeader();
  return [
    frameCase('DELIVER header, encode', frame.length, encode),
    frameCase('DELIVER header, decode', frame.length, () =>
      decodeDeliverHeader(view, into) === 'ok' ? into.leaseId : -1,
    ),
  ];
}

function controlCases(): readonly Case[] {
  const frame = encodeControl(SUBSCRIBE);
  return [
    frameCase('CONTROL subscribe, encode', frame.length, () => encodeControl(SUBSCRIBE)),
    frameCase('CONTROL subscribe, decode and check', frame.length, () => {
      const decoded = decodeControl(frame);
      if (decoded.verdict !== 'ok') return decoded.verdict;
      return requestText(checkRequest(decoded.value));
    }),
  ];
}

function jsonCases(): readonly Case[] {
  const text = JSON.stringify(SEND);
  const message = encodeJsonAnswer('message', undefined, MESSAGE_FIELDS);
  return [
    frameCase('JSON send, decode and check', text.length, () => requestText(decodeJsonFrame(text))),
    frameCase('JSON message, encode', message.length, () =>
      encodeJsonAnswer('message', undefined, MESSAGE_FIELDS),
    ),
  ];
}

/** The op of a request that passed; the refusal of one that did not. */
function requestText(decoded: ReturnType<typeof checkRequest>): string {
  return 'request' in decoded ? decoded.request.op : decoded.refusal.message;
}
