/** The consume queue of one queue, all entries in memory: an entry added per batch, and batches found by offset. */
import { seededPrng } from '../../src/base/prng.ts';
import { ConsumeQueue } from '../../src/log/consume-queue.ts';
import { emptyEntry, type QueueEntry } from '../../src/log/entry-table.ts';
import {
  bySize,
  digestOf,
  keep,
  type MicroBenchmark,
  measureCases,
  type Plan,
} from '../harness.ts';

/** Messages of a batch, and bytes of it as stored. */
const BATCH_MESSAGES = 100;
const BATCH_STORED_BYTES = 16_000;
const STORED_AT_MS = 1_760_000_000_000;
const LOOK_UPS_PER_CALL = 1000;
/** A queue that pushes go to is begun anew when it has become as long as this. */
const PUSHED_MAX = 1_000_000;

export const consumeQueue: MicroBenchmark = {
  name: 'consume-queue',
  about:
    'look-ups by offset (random, and one after another) among up to a million entries; entries added',
  run: (plan) => {
    const entries = bySize(plan, 10_000, 1_000_000);
    const queue = filledQueue(entries);
    const random = offsetsOf(plan, entries);
    const ordered = Float64Array.from(
      { length: LOOK_UPS_PER_CALL },
      (_, index) => (entries / 2 + index) * BATCH_MESSAGES,
    );
    const common = { parameters: { entries }, operations: LOOK_UPS_PER_CALL };
    let target = new ConsumeQueue(1, 0);
    return measureCases('consume-queue', plan, [
      {
        ...common,
        name: 'find, random offsets',
        operation: 'look-ups',
        call: () => {
          keep(findAll(queue, random));
        },
        digest: () => digestOf(findAll(queue, random)),
      },
      {
        ...common,
        name: 'find, next offsets',
        operation: 'look-ups',
        call: () => {
          keep(findAll(queue, ordered));
        },
        digest: () => digestOf(findAll(queue, ordered)),
      },
      {
        ...common,
        name: 'push',
        operation: 'entries',
        call: () => {
          if (target.endOffset >= PUSHED_MAX * BATCH_MESSAGES) target = new ConsumeQueue(1, 0);
          pushMany(target, LOOK_UPS_PER_CALL);
        },
        digest: () => digestOf(filledQueue(LOOK_UPS_PER_CALL).endOffset),
      },
    ]);
  },
};

function filledQueue(entries: number): ConsumeQueue {
  const queue = new ConsumeQueue(1, 0);
  pushMany(queue, entries);
  return queue;
}

function pushMany(queue: ConsumeQueue, count: number): void {
  const entry: QueueEntry = { ...emptyEntry(), count: BATCH_MESSAGES, bytes: BATCH_STORED_BYTES };
  for (let index = 0; index < count; index += 1) {
    entry.baseOffset = queue.endOffset;
    entry.position = (queue.endOffset / BATCH_MESSAGES) * BATCH_STORED_BYTES;
    entry.storedAtMs = STORED_AT_MS + index;
    queue.push(entry);
  }
}

function offsetsOf(plan: Plan, entries: number): Float64Array {
  const prng = seededPrng(plan.seed);
  return Float64Array.from({ length: LOOK_UPS_PER_CALL }, () =>
    prng.integer(entries * BATCH_MESSAGES),
  );
}

const found: QueueEntry = emptyEntry();
const noLoad = (): void => {};

/** @returns a sum over the positions found */
function findAll(queue: ConsumeQueue, offsets: Float64Array): number {
  let sum = 0;
  for (const offset of offsets) {
    if (queue.find(offset, found, noLoad) !== 'found') return -1;
    sum += found.position;
  }
  return sum;
}
