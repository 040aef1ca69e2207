/** Records as RocketMQ's consumers read them, byte by byte and by a decoder that knows nothing of the writer. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { crc32 } from '../../src/base/crc32-native.ts';
import { seededPrng } from '../../src/base/prng.ts';
import type { RecordInput } from '../../src/protocol/batch/batch-builder.ts';
import { BODY_BYTES } from '../../src/protocol/batch/batch-layout.ts';
import { BatchBody } from '../../src/protocol/remoting/batch-body.ts';
import { REMOTING_FRAMES } from '../../src/protocol/remoting/frame-layout.ts';
import { hostBytesOf, hostText } from '../../src/protocol/remoting/host-bytes.ts';
import {
  PropertyText,
  propertyText,
  withProperties,
} from '../../src/protocol/remoting/property-text.ts';
import { fuzzPlan } from '../../src/testing/fuzz-plan.ts';
import { decodeMessages, type RemotingMessage } from '../../src/testing/message-decoder.ts';
import { batchBodyOf, writtenMessages } from '../../src/testing/remoting-samples.ts';
import { FRAME_OVERSIZED, FRAME_REFUSED } from '../../src/transport/frame-cutter.ts';

function messagesOf(bytes: Uint8Array): readonly RemotingMessage[] {
  const decoded = decodeMessages(bytes);
  if ('refusal' in decoded) assert.fail(decoded.refusal);
  return decoded.messages;
}

describe('a message of RocketMQ', () => {
  it('has the bytes that RocketMQ gives it', () => {
    const bytes = writtenMessages('T', [
      {
        ...{ body: 'hi', bodyKind: BODY_BYTES, key: 'k', tag: 't' },
        properties: { __remoting: '0a000002d431,4,9,3', a: 'b' },
      },
    ]);
    const expected = [
      '0000006f daa320a7 '.replace('0000006f', bytes.length.toString(16).padStart(8, '0')),
      `${(crc32(Buffer.from('hi'), 0, 2) & 0x7fffffff).toString(16).padStart(8, '0')} 00000003 00000009 `,
      '0000000100000001 0002000123456789 00000004 0000018bcfe56800 0a000002 0000d431 ',
      '0000018bcfe5687b 0a000001 00002a9f 00000003 0000000000000000 ',
      '00000002 6869 01 54 0014 54414753017402 4b455953016b02 4d53475f524547494f4e01 44656661756c74526567696f6e02 61016202',
    ];
    const hex = expected.join('').replaceAll(' ', '');
    // The length of the properties is the only number that this text computes by hand.
    const properties = Buffer.from(
      'TAGS\u0001t\u0002KEYS\u0001k\u0002MSG_REGION\u0001DefaultRegion\u0002a\u0001b\u0002',
    );
    const withLength = hex.replace('0014', properties.length.toString(16).padStart(4, '0'));
    assert.equal(Buffer.from(bytes).toString('hex'), withLength);
  });

  it('comes back from a decoder, whatever its record has', () => {
    const { numRuns, seed } = fuzzPlan(300);
    const prng = seededPrng(seed);
    const textOf = (lengthMax: number): string =>
      Array.from({ length: prng.integer(lengthMax) }, () => 'aé漢 %k'[prng.integer(6)]).join('');
    for (let run = 0; run < numRuns; run += 1) {
      const storeHost = hostBytesOf(prng.chance(0.5) ? '10.1.2.3' : 'fe80::7', 10_911);
      assert.ok(storeHost !== undefined);
      const topic = 'T'.repeat(1 + prng.integer(200));
      const records = Array.from({ length: 1 + prng.integer(4) }, (): RecordInput => {
        const names = Array.from({ length: prng.integer(5) }, (_, index) => `p${index}`);
        const properties: Record<string, string> = Object.fromEntries(
          names.map((name) => [name, textOf(60)]),
        );
        const born = prng.chance(0.5) ? '0a000002d431' : `${'00'.repeat(15)}01d431`;
        if (prng.chance(0.8)) properties['__remoting'] = `${born},${prng.integer(4)},-7,2`;
        return { body: textOf(300), bodyKind: BODY_BYTES, key: textOf(9), properties };
      });
      const messages = messagesOf(writtenMessages(topic, records, storeHost));
      assert.equal(messages.length, records.length, `SEED=${seed} run ${run}`);
      for (const [index, message] of messages.entries()) {
        const record = records[index];
        const { __remoting: origin, ...own } = record?.properties ?? {};
        const expected: Record<string, string | undefined> = {
          ...own,
          MSG_REGION: 'DefaultRegion',
          ...(record?.key === '' ? {} : { KEYS: record?.key }),
        };
        for (const name of Object.keys(expected)) if (expected[name] === '') delete expected[name];
        assert.deepEqual(Object.fromEntries(message.properties), expected);
        assert.equal(message.topic, topic);
        assert.equal(Buffer.from(message.body).toString(), record?.body);
        assert.equal(message.flag, origin === undefined ? 0 : -7);
        assert.equal(message.storeHost, hostText(storeHost));
      }
    }
  });

  it('takes no separator into a name or a value, and no more properties than its length can say', () => {
    const separated: RecordInput = {
      body: '',
      bodyKind: BODY_BYTES,
      properties: { 'a\u0001': 'b\u0002c' },
    };
    const [message] = messagesOf(writtenMessages('T', [separated]));
    assert.deepEqual(
      [...(message?.properties ?? [])],
      [
        ['MSG_REGION', 'DefaultRegion'],
        ['a ', 'b c'],
      ],
    );
    const large = { a: 'x'.repeat(16_000), b: 'y'.repeat(16_000), c: 'z'.repeat(700) };
    const full: RecordInput = {
      body: '',
      bodyKind: BODY_BYTES,
      key: 'k'.repeat(1000),
      properties: large,
    };
    const [cut] = messagesOf(writtenMessages('T', [full]));
    assert.deepEqual([...(cut?.properties.keys() ?? [])], ['KEYS', 'MSG_REGION', 'a', 'c']);
  });
});

describe('a batch body of RocketMQ', () => {
  it('gives each message as it was put in', () => {
    const messages = [
      { body: 'a', properties: propertyText([['K', 'v']]), flag: 7 },
      { body: '', properties: '', flag: 0 },
    ];
    const reader = new BatchBody().open(batchBodyOf(messages));
    const read: object[] = [];
    while (reader.next()) {
      const { flag, body, properties } = reader;
      read.push({ body: Buffer.from(body).toString(), properties, flag });
    }
    assert.equal(reader.refusal, undefined);
    assert.deepEqual(read, messages);
  });

  it('is refused where its lengths do not fit', () => {
    const whole = batchBodyOf([{ body: 'abc', properties: 'k\u0001v\u0002' }]);
    for (let end = 1; end < whole.length; end += 1) {
      const reader = new BatchBody().open(whole.subarray(0, end));
      while (reader.next());
      assert.ok(reader.refusal !== undefined, `cut at ${end}`);
    }
  });
});

it('properties without a name or a value are left out, as Java leaves them out', () => {
  const reader = new PropertyText().open('a\u00011\u0002\u0001x\u0002b\u0001\u0002c\u0002d\u00012');
  const read: string[] = [];
  while (reader.next()) read.push(`${reader.name}=${reader.value}`);
  assert.deepEqual(read, ['a=1', 'd=2']);
});

it('the numbers by which frames are refused are those of the cutter', () => {
  assert.equal(REMOTING_FRAMES.frameBytes(Uint8Array.of(0x47, 0, 0, 0), 0), FRAME_REFUSED);
  assert.equal(REMOTING_FRAMES.frameBytes(Uint8Array.of(1, 0, 0, 0), 0), FRAME_OVERSIZED);
});

describe('a text of properties that gets one more', () => {
  it('keeps its last value, also when it does not end with 0x02', () => {
    const text = propertyText([['CORRELATION_ID', 'c-1']]);
    for (const given of [text, text.slice(0, -1), '']) {
      const reader = new PropertyText().open(withProperties(given, [['K', 'v']]));
      const found: string[][] = [];
      while (reader.next()) found.push([reader.name, reader.value]);
      assert.deepEqual(found, [...(given === '' ? [] : [['CORRELATION_ID', 'c-1']]), ['K', 'v']]);
    }
  });
});
