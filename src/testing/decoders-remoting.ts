/** The decoders of what RocketMQ's clients send beside frames and headers: batches of messages, texts of properties. */

import { BatchBody } from '../protocol/remoting/batch-body.ts';
import { hostBytesOf } from '../protocol/remoting/host-bytes.ts';
import { originTextOf, readOrigin } from '../protocol/remoting/message-origin.ts';
import { PropertyText, propertyText } from '../protocol/remoting/property-text.ts';
import type { DecoderTable } from './decoders.ts';
import { textDecoder } from './decoders.ts';
import { decodeMessages } from './message-decoder.ts';
import { batchBodyOf, sampleMessages } from './remoting-samples.ts';

const PROPERTIES = propertyText([
  ['KEYS', 'o-17 o-18'],
  ['TAGS', 'created'],
]);

function useBatchBody(bytes: Uint8Array): string | undefined {
  const reader = new BatchBody().open(bytes);
  let last = 0;
  while (reader.next()) {
    if (reader.body.byteOffset < bytes.byteOffset + last)
      throw new RangeError('a body lies in the message before');
    last = reader.body.byteOffset + reader.body.length - bytes.byteOffset;
    useProperties(reader.properties);
  }
  return reader.refusal;
}

function useProperties(text: string): void {
  const reader = new PropertyText().open(text);
  const read: [string, string][] = [];
  while (reader.next()) read.push([reader.name, reader.value]);
  const again = new PropertyText().open(propertyText(read));
  for (const [name, value] of read)
    if (!again.next() || again.name !== name || again.value !== value)
      throw new RangeError('properties do not come back from their text');
}

function useOrigin(text: string): void {
  const origin = readOrigin(text);
  if (originTextOf(readOrigin(originTextOf(origin))) !== originTextOf(origin))
    throw new RangeError('an origin does not come back from its text');
}

function useHost(text: string): void {
  const host = hostBytesOf(text, 1);
  if (host !== undefined && host.address.length !== 4 && host.address.length !== 16)
    throw new RangeError('an address has neither four nor sixteen bytes');
}

/** Bodies of remoting commands, and texts in their fields. */
export const REMOTING_DECODERS: DecoderTable = {
  'RocketMQ batch body': {
    samples: [
      batchBodyOf([
        { body: 'a', properties: PROPERTIES, flag: 7 },
        { body: '', properties: '' },
      ]),
    ],
    decode: useBatchBody,
    words: ['\u0000\u0000\u0000\u0016', '\u0000\u0001', '\u007f\u00ff', PROPERTIES],
  },
  'RocketMQ messages': {
    samples: [sampleMessages()],
    decode: (bytes) => {
      const decoded = decodeMessages(bytes);
      return 'refusal' in decoded ? decoded.refusal : undefined;
    },
  },
  'RocketMQ properties': textDecoder([PROPERTIES, PROPERTIES.slice(0, -1)], useProperties, {
    words: ['\u0001', '\u0002', '\u0001\u0002', '\u0002\u0001', 'KEYS\u0001'],
  }),
  'origin of a message': textDecoder(['7f000001c822', '7f000001c822,1,9,3,77'], useOrigin, {
    words: [',', '-1', '2147483648', '1e3', 'ffff'],
  }),
  'address of a machine': textDecoder(
    ['127.0.0.1', '::1', '::ffff:10.0.0.1', 'fe80::1:2'],
    useHost,
    {
      words: ['::', ':', '.', '256', 'ffff'],
    },
  ),
};
