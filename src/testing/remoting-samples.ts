/** Bytes as RocketMQ's clients and brokers send them, for tests: batch bodies, and messages as they are pulled. */
import { crc32 } from '../base/crc32-native.ts';
import { BatchBuilder, type RecordInput, recordBytes } from '../protocol/batch/batch-builder.ts';
import { BODY_BYTES } from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { FrameSpace } from '../protocol/remoting/frame-space.ts';
import { type HostBytes, hostBytesOf, NO_HOST } from '../protocol/remoting/host-bytes.ts';
import { type MessagePlace, MessageWriter } from '../protocol/remoting/message-writer.ts';

/** A message of a batch body. */
export type BatchedMessage = {
  readonly body: string;
  /** Text of its properties. */
  readonly properties: string;
  readonly flag?: number;
};

/** The body of SEND_BATCH_MESSAGE, as MessageDecoder.encodeMessages writes it. */
export function batchBodyOf(messages: readonly BatchedMessage[]): Uint8Array {
  return Buffer.concat(
    messages.map(({ body, properties, flag = 0 }) => {
      const [bodyBytes, propertyBytes] = [Buffer.from(body), Buffer.from(properties)];
      const head = Buffer.alloc(20);
      head.writeInt32BE(22 + bodyBytes.length + propertyBytes.length, 0);
      head.writeInt32BE(flag, 12);
      head.writeInt32BE(bodyBytes.length, 16);
      const length = Buffer.alloc(2);
      length.writeInt16BE(propertyBytes.length);
      return Buffer.concat([head, bodyBytes, length, propertyBytes]);
    }),
  );
}

export const SAMPLE_PLACE: Omit<MessagePlace, 'topic'> = {
  queueId: 3,
  shard: 2,
  position: 0x1_2345_6789,
  baseOffset: 0x1_0000_0001,
  storedAtMs: 1_700_000_000_123,
  storeHost: hostBytesOf('10.0.0.1', 10_911) ?? NO_HOST,
};

/** Records as a consumer of RocketMQ gets them. */
export function writtenMessages(
  topic: string,
  records: readonly RecordInput[],
  storeHost: HostBytes = SAMPLE_PLACE.storeHost,
  bornAtMs = 1_700_000_000_000,
): Uint8Array {
  const builder = new BatchBuilder(1024, '', 0, crc32);
  for (const record of records) builder.append(record, recordBytes(record), 1 << 22, bornAtMs);
  const batch = builder.finish(0, 0);
  const reader = new BatchReader().open(
    batch,
    new DataView(batch.buffer, batch.byteOffset, batch.byteLength),
    0,
  );
  const writer = new MessageWriter(crc32);
  const place = { ...SAMPLE_PLACE, storeHost, topic: new TextEncoder().encode(topic) };
  while (reader.next()) writer.write(place, reader);
  return writer.take(new FrameSpace());
}

export function sampleMessages(): Uint8Array {
  return writtenMessages('orders', [
    {
      ...{ body: 'one', bodyKind: BODY_BYTES, key: 'o-17', tag: 'created' },
      properties: { __remoting: '7f000001c822,1,9,3', UNIQ_KEY: '0A00' },
    },
    { body: '', bodyKind: BODY_BYTES },
  ]);
}
