/** Records for tests of filters: a batch of one, read as the broker reads it. */
import { BATCH_BYTES_MAX } from '../base/limits.ts';
import { BatchBuilder, recordBytes } from '../protocol/batch/batch-builder.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { viewOf } from '../protocol/web/binary-codec.ts';

/** A reader that stands on a record with these properties; TAGS and KEYS are its tag and key. */
export function recordWith(properties: ReadonlyMap<string, string>): BatchReader {
  const { TAGS: tag, KEYS: key, ...others } = Object.fromEntries(properties);
  const record = { body: '', bodyKind: 0 as const, key, tag, properties: others };
  const builder = new BatchBuilder(1024);
  builder.append(record, recordBytes(record), BATCH_BYTES_MAX, 0);
  const bytes = builder.finish(0, 0).slice();
  const reader = new BatchReader().open(bytes, viewOf(bytes), 0);
  reader.next();
  return reader;
}
