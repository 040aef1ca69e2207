/** Thread entry for race tests: the other side of a ring, a position, a park word, the leases of a tail or its writer. */
import { workerData } from 'node:worker_threads';
import { ParkWord } from '../agent/park-word.ts';
import { systemClock } from '../base/clock.ts';
import type { FlushMode } from '../commit/commit-policy.ts';
import { FlusherAgent } from '../commit/flusher-agent.ts';
import { FileStorage } from '../log/file-storage.ts';
import { LogMemory } from '../log/log-memory.ts';
import type { Storage, StorageFile } from '../log/storage.ts';
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
    }
  | {
      readonly kind: 'flush';
      readonly directory: string;
      readonly control: SharedArrayBuffer;
      readonly tail: SharedArrayBuffer;
      readonly segmentBytes: number;
      readonly mode: FlushMode;
    };

/** Bytes of one batch of the `leases` task; two fill a slot of the tail. */
export const RACE_BATCH_BYTES = 128;

/** Length of record `index`: every alignment and size of a small ring. */
export function raceRecordLength(index: number): number {
  return 4 + ((index * 7) % 61);
}

/** Looks at the other side before a nap: it answers within microseconds where it has a processor of its own. */
const LOOKS_MAX = 2000;
const pause = new Int32Array(new SharedArrayBuffer(4));

/**
 * Waits for the other side. Where both share a processor, one that only looks keeps the other from it until its time is over.
 *
 * @returns looks so far
 */
function waitForOther(looks: number): number {
  if (looks < LOOKS_MAX) return looks + 1;
  Atomics.wait(pause, 0, 0, 1);
  return 0;
}

function produce(task: Extract<RaceTask, { kind: 'produce' }>): void {
  const producer = new RingProducer(task.ring, 0, task.capacity);
  let looks = 0;
  for (let index = 0; index < task.records; ) {
    const length = raceRecordLength(index);
    const at = producer.claim(index + 1, length);
    if (at === RING_FULL) {
      producer.publish();
      looks = waitForOther(looks);
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
      for (let looks = 0; !port.isSlotFree(tail.slotOf(position)); looks = waitForOther(looks))
        port.publish();
    tail.at(position, RACE_BATCH_BYTES).fill(round & 0xff);
    const extent = {
      ...{ position, baseOffset: round, batchBytes: RACE_BATCH_BYTES },
      ...{ firstIndex: 0, count: 1, isCold: false },
    };
    const lease = { id: round, attempt: 1, leaseMs: 1000, returnsKnown: 0 };
    for (let looks = 0; !port.deliver(1, 1, 0, extent, lease); looks = waitForOther(looks))
      port.publish();
    if (round % 3 === 0) port.publish();
  }
  port.publish();
}

/** Looks at nothing while a slow disk writes: time for the other side to go on, if it may. */
const SLOW_LOOKS = 20_000;

/** A disk that takes its time for each write. */
function slowed(storage: Storage): Storage {
  const open = (name: string, create: boolean): StorageFile => {
    const file = storage.open(name, create);
    const write = (source: Uint8Array, byteOffset: number): void => {
      for (let look = 0; look < SLOW_LOOKS; look += 1) Atomics.load(pause, 0);
      file.write(source, byteOffset);
    };
    return Object.assign(Object.create(file) as StorageFile, { write });
  };
  return Object.assign(Object.create(storage) as Storage, { open });
}

/** As the flusher's thread does, but that it never sleeps and always syncs. */
function flush({
  directory,
  control,
  tail,
  segmentBytes,
  mode,
}: Extract<RaceTask, { kind: 'flush' }>): void {
  const memory = new LogMemory(control, 0);
  const agent = new FlusherAgent({
    ...{
      storage: slowed(new FileStorage(directory)),
      tail: new TailWindow(tail),
      memory,
      segmentBytes,
    },
    ...{ clock: systemClock, mode, flushIntervalMs: 0, epoch: 1, position: 0 },
  });
  for (let looks = 0; !memory.isStopping; ) looks = agent.doWork() === 0 ? waitForOther(looks) : 0;
  agent.close();
}

const task = workerData as RaceTask | undefined;
if (task?.kind === 'produce') produce(task);
else if (task?.kind === 'positions') positions(task);
else if (task?.kind === 'wake') wake(task);
else if (task?.kind === 'leases') leases(task);
else if (task?.kind === 'flush') flush(task);
