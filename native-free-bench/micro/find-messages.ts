/**
 * Finding messages in a segment that has no index yet, as the newest one has none: by key and by what a message id says. The
 * segment is full of batches of one message, which is where it takes longest. Its file is in memory.
 */
import { crc32 } from '../../src/base/crc32-native.ts';
import { MIB } from '../../src/base/units.ts';
import { segmentName } from '../../src/log/file-names.ts';
import { findKey, locate } from '../../src/log/find-messages.ts';
import { LOG_MEMORY_BYTES, LogMemory } from '../../src/log/log-memory.ts';
import { MemoryStorage } from '../../src/log/memory-storage.ts';
import { ShardLog } from '../../src/log/shard-log.ts';
import type { FoundMessage, SideJob } from '../../src/log/side-job.ts';
import type { Storage } from '../../src/log/storage.ts';
import { TailWindow } from '../../src/log/tail-window.ts';
import { BatchBuilder, recordBytes } from '../../src/protocol/batch/batch-builder.ts';
import { BODY_BYTES, KIND_DATA } from '../../src/protocol/batch/batch-layout.ts';
import {
  bySize,
  type Case,
  digestOf,
  keep,
  type MicroBenchmark,
  measureCases,
  type Plan,
} from '../harness.ts';

const TOPIC = 1;
const BODY = new Uint8Array(128).fill(0x61);
const STORED_AT_MS = 1_760_000_000_000;
/** A call takes some hundredths of a second: fewer are enough. */
const CALLS = 8;

export const findMessages: MicroBenchmark = {
  name: 'find-messages',
  about: 'a key and a message id looked up in the segment that is being written',
  run: (plan) => measureCases('find-messages', plan, casesOf(plan)),
};

/** A segment file full of messages. */
type Filled = {
  readonly storage: Storage;
  readonly segmentBytes: number;
  /** Position of the batch with the number `count / 2`. */
  readonly middleAt: number;
  readonly count: number;
  readonly end: number;
};

const keyOf = (index: number): string => `order-${index}`;

function fill(segmentBytes: number): Filled {
  const tail = new TailWindow(new SharedArrayBuffer(2 * segmentBytes));
  const log = new ShardLog({
    ...{ tail, memory: new LogMemory(new SharedArrayBuffer(LOG_MEMORY_BYTES), 0), segmentBytes },
    ...{ leases: { isFree: () => true }, position: 0, preparedEnd: segmentBytes, epoch: 1 },
  });
  const builder = new BatchBuilder(1024, '', 0, crc32);
  const positions: number[] = [];
  for (;;) {
    const index = positions.length;
    const properties = { UNIQ_KEY: `7F000001${index.toString(16).padStart(24, '0')}` };
    const record = { body: BODY, bodyKind: BODY_BYTES, key: keyOf(index), properties } as const;
    builder.reset('');
    builder.append(record, recordBytes(record), 1024, STORED_AT_MS);
    const batch = builder.finish(0, 0);
    if (log.noRoomFor(batch.length) !== undefined) break;
    const fields = { kind: KIND_DATA, baseOffset: index, topicId: TOPIC, queueId: 0 } as const;
    positions.push(log.append(fields, batch, 0, batch.length, STORED_AT_MS));
  }
  const storage = new MemoryStorage(4 * segmentBytes);
  storage.open(segmentName(0), true).write(tail.at(0, segmentBytes), 0);
  const count = positions.length;
  const middleAt = positions[Math.floor(count / 2)] ?? 0;
  return { storage, segmentBytes, middleAt, count, end: log.appended };
}

function casesOf(plan: Plan): readonly Case[] {
  const filled = fill(bySize(plan, MIB, 64 * MIB));
  const { storage, segmentBytes, middleAt, count, end } = filled;
  const shape = { job: 1, segmentBytes, chunkBytes: segmentBytes } as const;
  const byKey = (key: string): FoundMessage[] => {
    const job = { ...shape, kind: 'find-key', topicId: TOPIC, key, max: 64 } as const;
    return findKey(storage, { ...job, sealed: [], open: [0], committed: end });
  };
  const byId = (value: number): FoundMessage[] =>
    locate(storage, { ...shape, kind: 'locate', value } satisfies SideJob);
  const common = { parameters: { segmentBytes, messages: count }, operations: 1, calls: CALLS };
  const caseOf = (name: string, find: () => FoundMessage[]): Case => ({
    ...{ ...common, name, operation: 'look-ups' },
    call: () => keep(find()),
    digest: () => digestOf(JSON.stringify(find())),
  });
  return [
    caseOf('by key', () => byKey(keyOf(Math.floor(count / 2)))),
    caseOf('by key, not there', () => byKey('nobody')),
    caseOf('by message id, in the middle', () => byId(middleAt)),
  ];
}
