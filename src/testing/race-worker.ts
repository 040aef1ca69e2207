/** Thread entry for race tests: the other side of a ring, a position, a park word or the leases of a tail. */
import { workerData } from 'node:worker_threads';
import { ParkWord } from '../agent/park-word.ts';
import { TailWindow } from '../log/tail-window.ts';
import { PositionCell } from '../memory/position-cell.ts';
import { RingConsumer } from '../ring/ring-consumer.ts';
import { ringBytes } from '../ring/ring-layout.ts';
import { RING_FULL, RingProducer } from '../ring/ring-producer.ts';
import { ShardPort } from '../shard/shard-port.ts';

/** What the thread is to do. */
export type RaceTask =
  | {
      readonly kind: 'produce';
      readonly ring: SharedArrayBuffer;
      readonly capacity: number;
      readonly records: number;
      readonly publishEvery: number;
    }
  | {
      readonly kind: 'positions';
      readonly memory: SharedArrayBuffer;
      readonly data: SharedArrayBuffer;
      readonly rounds: number;
    }
  | {
      readonly kind: 'wake';
      readonly memory: SharedArrayBuffer;
      readonly work: SharedArrayBuffer;
      readonly rounds: number;
    }
  | {
      readonly kind: 'leases';
      /** Replies, of `capacity` bytes. */
      readonly ring: SharedArrayBuffer;
      readonly capacity: number;
      readonly tail: SharedArrayBuffer;
      readonly rounds: number;
    };

/** Bytes of one batch of the `leases` task; two fill a slot of the tail. */
export const RACE_BATCH_BYTES = 128;

/** Length of record `index`: every alignment and size of a small ring. */
export function raceRecordLength(index: number): number {
  return 4 + ((index * 7) % 61);
}

function produce(task: Extract<RaceTask, { kind: 'produce' }>): void {
  const producer = new RingProducer(task.ring, 0, task.capacity);
  for (let index = 0; index < task.records; ) {
    const length = raceRecordLength(index);
    const at = producer.claim(index + 1, length);
    if (at === RING_FULL) {
      producer.publish();
      continue;
    }
    producer.bytes.fill(index & 0xff, at, at + length);
    producer.view.setUint32(at, index, true);
    index += 1;
    if (index % task.publishEvery === 0) producer.publish();
  }
  producer.publish();
}

/** Writes data plainly, then publishes its position: who sees the position must see the data. */
function positions(task: Extract<RaceTask, { kind: 'positions' }>): void {
  const cell = new PositionCell(task.memory, 0);
  const words = new Uint32Array(task.data);
  for (let round = 1; round <= task.rounds; round += 1) {
    words[round % words.length] = round;
    cell.publish(round);
  }
}

function wake(task: Extract<RaceTask, { kind: 'wake' }>): void {
  const word = new ParkWord(task.memory, 0);
  const work = new Int32Array(task.work);
  for (let round = 1; round <= task.rounds; round += 1) {
    Atomics.store(work, 0, round);
    word.wake();
    // The owner answers each round before the next: a wake-up that is lost stops everything.
    while (Atomics.load(work, 1) < round) Atomics.wait(work, 1, round - 1, 1000);
  }
}

/** As a shard does: batches into the tail, extents into the ring, and no slot anew before its readers are done. */
function leases(task: Extract<RaceTask, { kind: 'leases' }>): void {
  const tail = new TailWindow(task.tail);
  const idle = new RingConsumer(new SharedArrayBuffer(ringBytes(task.capacity)), 0, task.capacity);
  const replies = new RingProducer(task.ring, 0, task.capacity);
  const port = new ShardPort(idle, replies, tail, () => {});
  for (let round = 0; round < task.rounds; round += 1) {
    const position = round * RACE_BATCH_BYTES;
    if (position % tail.slotBytes === 0)
      while (!port.isSlotFree(tail.slotOf(position))) port.publish();
    tail.at(position, RACE_BATCH_BYTES).fill(round & 0xff);
    const extent = {
      ...{ position, baseOffset: round, batchBytes: RACE_BATCH_BYTES },
      ...{ firstIndex: 0, count: 1, isCold: false },
    };
    const lease = { id: round, attempt: 1, leaseMs: 1000, returnsKnown: 0 };
    while (!port.deliver(1, 1, 0, extent, lease)) port.publish();
    if (round % 3 === 0) port.publish();
  }
  port.publish();
}

const task = workerData as RaceTask | undefined;
if (task?.kind === 'produce') produce(task);
else if (task?.kind === 'positions') positions(task);
else if (task?.kind === 'wake') wake(task);
else if (task?.kind === 'leases') leases(task);
