/** The batch: built by a producer, checked on arrival, read by a consumer. An operation is one record. */
import { crc32 } from '../../src/base/crc32-native.ts';
import { BatchBuilder } from '../../src/protocol/batch/batch-builder.ts';
import { checkBatch } from '../../src/protocol/batch/batch-check.ts';
import { BatchReader } from '../../src/protocol/batch/batch-reader.ts';
import {
  bySize,
  type Case,
  digestOf,
  keep,
  type MicroBenchmark,
  measureCases,
  type Plan,
} from '../harness.ts';
import { BATCH_BYTES, buildBatch, type RecordShape, sampleRecords } from './sample-batches.ts';

const BODY_BYTES = 128;

export const batchCodec: MicroBenchmark = {
  name: 'batch-codec',
  about: 'BatchBuilder, checkBatch and BatchReader on batches of 128-byte bodies',
  run: (plan) =>
    measureCases('batch-codec', plan, [...casesOf(plan, 'bare'), ...casesOf(plan, 'full')]),
};

function casesOf(plan: Plan, shape: RecordShape): readonly Case[] {
  const records = sampleRecords(shape, bySize(plan, 16, 100), BODY_BYTES, plan.seed);
  const builder = new BatchBuilder(BATCH_BYTES, 'bench-producer', 0, crc32);
  const batch = buildBatch(builder, records).slice();
  const view = new DataView(batch.buffer);
  const reader = new BatchReader();
  const common = {
    parameters: { shape, records: records.length, bodyBytes: BODY_BYTES, batchBytes: batch.length },
    operation: 'records',
    operations: records.length,
    bytes: batch.length,
  };
  const readBodies = (): number => {
    let sum = 0;
    reader.open(batch, view, 0);
    while (reader.next()) {
      const { body } = reader;
      sum = (sum + (body[0] as number) + body.length) | 0;
    }
    return sum;
  };
  const readAll = (): string[] => {
    const texts: string[] = [];
    reader.open(batch, view, 0);
    while (reader.next()) texts.push(reader.key, reader.tag, ...Object.values(reader.properties));
    return texts;
  };
  const cases: Case[] = [
    {
      ...common,
      name: `encode ${shape}`,
      call: () => {
        keep(buildBatch(builder, records));
      },
      digest: () => digestOf(buildBatch(builder, records)),
    },
    {
      ...common,
      name: `check ${shape}`,
      call: () => {
        keep(checkBatch(batch, view, 0, batch.length, crc32));
      },
      digest: () => digestOf(checkBatch(batch, view, 0, batch.length, crc32)),
    },
    {
      ...common,
      name: `read bodies, ${shape}`,
      call: () => {
        keep(readBodies());
      },
      digest: () => digestOf(readBodies()),
    },
  ];
  if (shape === 'bare') return cases;
  return [
    ...cases,
    {
      ...common,
      name: `read key, tag and properties, ${shape}`,
      call: () => {
        keep(readAll());
      },
      digest: () => digestOf(readAll().join('\n')),
    },
  ];
}
