/** A deferred batch some of whose messages were cancelled becomes a batch of the others. Shard thread, seldom. */
import { crc32 } from '../base/crc32-native.ts';
import { KIB } from '../base/units.ts';
import { BatchBuilder, type RecordInput, recordBytes } from '../protocol/batch/batch-builder.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import type { BatchSource } from './deferred-reads.ts';

/** @param dropped - indices of the messages that are left out; not all of them */
export function withoutDropped(source: BatchSource, dropped: ReadonlySet<number>): BatchSource {
  const reader = new BatchReader().open(source.bytes, source.view, source.at);
  const builder = new BatchBuilder(4 * KIB, '', 0, crc32);
  builder.reset('');
  while (reader.next()) {
    if (dropped.has(reader.index)) continue;
    const record: RecordInput = {
      body: reader.body,
      bodyKind: reader.bodyKind,
      key: reader.key === '' ? undefined : reader.key,
      tag: reader.tag === '' ? undefined : reader.tag,
      properties: reader.properties,
    };
    builder.append(record, recordBytes(record), source.length, reader.bornAtMs);
  }
  const bytes = builder.finish(0, 0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { bytes, view, at: 0, length: bytes.length };
}
