/** Thread entry for race tests: the other side of a ring, a position or a park word. */
import { workerData } from 'node:worker_threads';
import { ParkWord } from '../agent/park-word.ts';
import { PositionCell } from '../memory/position-cell.ts';
import { RING_FULL, RingProducer } from '../ring/ring-producer.ts';

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
    };

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

const task = workerData as RaceTask | undefined;
if (task?.kind === 'produce') produce(task);
else if (task?.kind === 'positions') positions(task);
else if (task?.kind === 'wake') wake(task);
