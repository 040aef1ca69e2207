/** The decoders of what comes over connections: frames, batches, HTTP, and the texts in their fields. */

import { bearerToken } from '../acceptor/auth-guard.ts';
import { parseToken } from '../acceptor/delivery-token.ts';
import { crc32 } from '../base/crc32-native.ts';
import type { SluiceError } from '../base/errors.ts';
import { checkGroupName, checkTopicName } from '../base/names.ts';
import { SqlMatcher } from '../filter/record-matcher.ts';
import { checkBatch } from '../protocol/batch/batch-check.ts';
import * as batchLayout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { parseMessageId } from '../protocol/message-id.ts';
import { decodeBase64, encodeBase64 } from '../protocol/web/base64.ts';
import * as binary from '../protocol/web/binary-codec.ts';
import { parseFilter, parseSeekTarget, parseStartPoint } from '../protocol/web/consume-fields.ts';
import { decodeControl, encodeControl } from '../protocol/web/control-codec.ts';
import { isFields } from '../protocol/web/field-reader.ts';
import * as http from '../protocol/web/http-codec.ts';
import { checkRequest, type DecodedRequest, decodeJsonFrame } from '../protocol/web/json-codec.ts';
import { messageFieldsJson } from '../protocol/web/message-codec.ts';
import * as settle from '../protocol/web/settle-codec.ts';
import { contentLengthOf } from '../transport/http-head.ts';
import { OriginPolicy } from '../transport/origin-policy.ts';
import {
  bytesDecoder,
  type Decoder,
  type DecoderTable,
  type Refusal,
  textDecoder,
  textSamples,
} from './decoders.ts';
import { frameSamples, SAMPLE_REQUESTS } from './golden-frames.ts';
import { sampleBatch } from './golden-log.ts';
import { recordWith } from './sql-records.ts';

const JSON_WORDS = [
  ...['"op"', '"id"', '"topic"', '"messages"', '"body"', '"$bytes"', '"__proto__"', '"to"'],
  ...['null', 'true', '-1', '1e999', '9007199254740993', '""', '[]', '{}', '{"":', '\\u0000'],
  ...['"\\ud800"', '{"op":"', '"tokens":["', ',', ':', '[[[[[[', '"earliest"', '"*"', '"||"'],
];

function refusalIn(decoded: DecodedRequest): Refusal | undefined {
  return 'refusal' in decoded ? decoded.refusal : undefined;
}

function verdictOf(verdict: string): Refusal | undefined {
  return verdict === 'ok' ? undefined : verdict;
}

/** Reads everything of a batch that was accepted, as delivery in the JSON dialect does. */
export function useBatch(bytes: Uint8Array, at: number): void {
  const reader = new BatchReader().open(bytes, binary.viewOf(bytes), at);
  const place = { topic: 't', queueId: 0, queueOffset: 0, messageId: '', storedAt: 0 };
  while (reader.next()) JSON.parse(`{${messageFieldsJson(place, reader)}}`);
  void [reader.producerId, reader.producerEpoch, reader.sequence];
}

export function resealBatch(bytes: Uint8Array, at = 0): void {
  if (bytes.length < at + batchLayout.BATCH_HEADER_BYTES) return;
  const view = binary.viewOf(bytes);
  view.setUint32(at + batchLayout.BATCH_BYTES, bytes.length - at, true);
  const crc = crc32(bytes, at + batchLayout.BATCH_BYTES, bytes.length);
  view.setUint32(at + batchLayout.BATCH_CRC, crc, true);
}

const batch: Decoder = {
  samples: [sampleBatch()],
  decode: (bytes) => {
    const verdict = checkBatch(bytes, binary.viewOf(bytes), 0, bytes.length, crc32);
    if (verdict === 'ok') useBatch(bytes, 0);
    return verdictOf(verdict);
  },
  reseal: (bytes) => resealBatch(bytes),
  refusesCuts: true,
  refusesFlips: true,
};

function frame(
  kind: string,
  decode: (view: DataView, bytes: Uint8Array) => string,
): Pick<Decoder, 'samples' | 'decode'> {
  const names = Object.entries(frameSamples()).filter(([name]) => name.includes(`/${kind}`));
  return {
    samples: names.map(([, bytes]) => bytes),
    decode: (bytes) => verdictOf(decode(binary.viewOf(bytes), bytes)),
  };
}

function useReceipts(view: DataView): string {
  const verdict = binary.checkReceipts(view);
  const entry = binary.newReceiptEntry();
  if (verdict === 'ok')
    for (let index = 0; index < binary.receiptCount(view); index += 1)
      binary.decodeReceipt(view, index, entry);
  return verdict;
}

function useSettle(view: DataView, bytes: Uint8Array): string {
  const header = settle.newSettleHeader();
  const verdict = settle.decodeSettleHeader(view, header);
  if (verdict !== 'ok') return verdict;
  const range = settle.newSettleRange();
  for (let index = 0; index < header.rangeCount; index += 1)
    settle.decodeSettleRange(view, index, range);
  settle.decodeSettleReason(bytes, header);
  return verdict;
}

/** One of the samples is an answer, which no broker takes. */
function isRequest(sample: Readonly<Record<string, unknown>>): boolean {
  return sample['op'] !== 'error';
}

/** Frames of WebSockets. */
export const FRAME_DECODERS: DecoderTable = {
  'JSON frame': {
    samples: textSamples(
      ...Object.values(SAMPLE_REQUESTS)
        .filter(isRequest)
        .map((request) => JSON.stringify(request)),
      '{"op":"ack","id":4,"tokens":["1.9.5.c.7"]}',
      '{"op":"nack","id":4,"tokens":["1.9.5.c.7"],"delayMs":1000,"reason":"later"}',
      '{"op":"seek","id":4,"topic":"t","group":"g","to":{"0":120,"3":88}}',
      '{"op":"fetch","id":4,"topic":"t","queueId":0,"offset":0,"max":10,"waitMs":0}',
      '{"op":"send","id":2,"topic":"t","producerId":"p","sequence":40,"body":{"$bytes":"AAE="}}',
      '{"op":"hello","token":"x","client":"y"}',
    ),
    decode: (bytes) => refusalIn(decodeJsonFrame(new TextDecoder().decode(bytes))),
    words: JSON_WORDS,
  },
  'CONTROL frame': {
    samples: Object.values(SAMPLE_REQUESTS)
      .filter(isRequest)
      .map((request) => encodeControl(request)),
    decode: (bytes) => {
      const decoded = decodeControl(bytes);
      if (decoded.verdict !== 'ok') return decoded.verdict;
      return isFields(decoded.value) ? refusalIn(checkRequest(decoded.value)) : 'not fields';
    },
    refusesCuts: true,
  },
  'SEND_BATCH frame': {
    ...frame('send-batch', (view) =>
      binary.decodeSendBatchHeader(view, binary.newSendBatchHeader()),
    ),
    refusesCuts: true,
  },
  'RECEIPTS frame': { ...frame('receipts', useReceipts), refusesCuts: true },
  'DELIVER frame': {
    ...frame('deliver', (view) => binary.decodeDeliverHeader(view, binary.newDeliverHeader())),
    refusesCuts: true,
  },
  'SETTLE frame': frame('settle', useSettle),
  'subscription that a DELIVER frame names': {
    ...frame('deliver', (_, bytes) => (binary.deliverSubscription(bytes) < 0 ? 'too-short' : 'ok')),
  },
  batch,
};

const post = (type: string, name = 'content-type') => {
  return (bytes: Uint8Array): unknown => http.decodePost('t', new Map([[name, type]]), bytes);
};

function headerDecoder(name: string, samples: readonly string[]): Decoder {
  return textDecoder(samples, (text) => {
    const headers = new Map([
      ['content-type', 'text/plain'],
      ['x-producer-id', 'p'],
      ['x-sequence', '1'],
    ]);
    return http.decodePost('t', headers.set(name, text), new Uint8Array(3));
  });
}

function originDecoder(
  samples: readonly string[],
  check: (policy: OriginPolicy, text: string) => SluiceError | undefined,
): Decoder {
  const policy = new OriginPolicy(['https://a.example'], ['broker']);
  return {
    samples: textSamples(...samples),
    decode: (bytes) => check(policy, new TextDecoder().decode(bytes)),
    words: ['://', '[', ']', ':', '.localhost', '127.'],
  };
}

/** HTTP: bodies, queries, paths, headers. */
export const HTTP_DECODERS: DecoderTable = {
  'HTTP body of JSON messages': bytesDecoder(
    textSamples('{"body":1,"key":"k"}', '[{"body":"a"},{"body":{"$bytes":"AAE="},"tag":"t"}]'),
    post('application/json'),
    { words: JSON_WORDS },
  ),
  'HTTP body of NDJSON messages': bytesDecoder(
    textSamples('{"body":1}\n{"body":"b","properties":{"a":"b"}}\n\n'),
    post('application/x-ndjson; charset=utf-8'),
    { words: [...JSON_WORDS, '\n', '\r\n'] },
  ),
  'HTTP body of text': bytesDecoder(textSamples('grüße'), post('text/plain')),
  'HTTP body of acks': bytesDecoder(
    textSamples('{"tokens":["1.9.5.c.7"]}', '{"nack":["1.9.5.c.7"],"delayMs":5,"reason":"r"}'),
    http.decodeAcks,
    { words: [...JSON_WORDS, '"nack"', '"delayMs"'] },
  ),
  'query of a poll': textDecoder(
    ['group=g&max=10&waitMs=0&filter=a%7C%7Cb&from=earliest', 'group=g&from=1700000000000'],
    (text) => http.decodePoll('t', new URLSearchParams(text)),
    { words: ['group=', '&', '%', '%00', 'max=', '__proto__=1', '=', '99999999999999999999'] },
  ),
  path: textDecoder(['/v1/topics/%25DLQ%25g/messages', '/'], http.pathSegments, {
    words: ['%', '%2e%2e', '/', '%c3', '%00'],
  }),
  'header Content-Type': headerDecoder('content-type', [
    'text/plain; charset="utf-8"',
    'application/octet-stream',
  ]),
  'header X-Sequence': headerDecoder('x-sequence', ['0', '9007199254740000']),
  'header X-Producer-Epoch': headerDecoder('x-producer-epoch', ['0', '4294967295']),
  'header Authorization': textDecoder(['Bearer abc'], bearerToken),
  'header Origin': originDecoder(['http://localhost:8880', 'https://[::1]'], (policy, text) =>
    policy.check(text, 'localhost'),
  ),
  'header Host': originDecoder(['localhost:8880', '[::1]', 'broker:1'], (policy, text) =>
    policy.check(undefined, text),
  ),
  'header Content-Length': textDecoder(['0', '123456789012345'], (text) => {
    const head = {
      ...{ method: 'POST', path: '/', query: '', headerCount: 1, headerBytes: 1 },
      ...{ headers: new Map([['content-length', text]]), remoteAddress: '' },
    };
    const length = contentLengthOf(head);
    if (length !== undefined && length < 0) throw new RangeError(`a length of ${length}`);
  }),
};

const FILTERED = recordWith(new Map(Object.entries({ TAGS: 't', a: '1', price: '12.5', b: 'x' })));

/** Texts within fields. */
export const FIELD_DECODERS: DecoderTable = {
  base64: textDecoder(
    ['', 'AA==', 'AAE=', 'AAEC'],
    (text) => {
      const bytes = decodeBase64(text);
      if (bytes !== undefined && encodeBase64(bytes) !== text)
        throw new Error(`${text} has another spelling`);
    },
    { words: ['=', '==', '+/', '-_'] },
  ),
  'SQL filter': textDecoder(
    [
      "price > 10.0 AND region IN ('eu', 'us') OR NOT (name NOT STARTSWITH 'it''s')",
      'a BETWEEN -1 AND 5L AND b IS NOT NULL -- comment',
    ],
    (sql) => {
      for (const isStrict of [true, false]) new SqlMatcher(sql, isStrict).matches(FILTERED);
    },
    {
      words: [
        'NOT ',
        ' AND ',
        ' OR ',
        '(',
        ')',
        "'",
        '--',
        '/*',
        '*/',
        '1e9',
        '.',
        'TRUE',
        ' = ',
        ' IS NULL',
      ],
    },
  ),
  filter: textDecoder(['a || b || c', '*', ''], parseFilter, { words: ['||', '*', ' ', '|'] }),
  'start point': textDecoder(
    ['earliest', 'latest', '2026-01-31T09:30:00Z', '2026-01-31'],
    (text) => parseStartPoint(text, 'from'),
    { words: ['-', 'T', 'Z', ':', '99', '+99:99', '0000-00-00'] },
  ),
  'target of a seek': textDecoder(
    ['{"0":120,"3":88}', '"latest"', '1700000000000'],
    (text) => {
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        return;
      }
      parseSeekTarget(value, 'to');
    },
    { words: ['"__proto__":1,', '"65536":', '-1', '1.5'] },
  ),
  'delivery token': textDecoder(['1.9.5.c.7', '0.0.0.0.0'], parseToken, {
    words: ['.', 'zzzzzzzzzzz', '0', '-1'],
  }),
  'message id': textDecoder(['7f000001000022b0000100000001234f'], (text) => {
    const address = parseMessageId(text);
    if (address !== undefined && !Number.isSafeInteger(address.place))
      throw new RangeError(`the place ${address.place}`);
  }),
  'name of a topic': textDecoder(['orders', '%DLQ%billing'], checkTopicName, {
    words: ['%DLQ%', '../', '\u0000', '|', '%'],
  }),
  'name of a group': textDecoder(['billing'], checkGroupName, { words: ['../', '\u0000', '|'] }),
};
