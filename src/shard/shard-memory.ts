/**
 * The shared memory of one shard, as plain parts that can be handed to its threads: positions, tail window, rings of each
 * acceptor, park words. `memory-plan` adds the sizes up before anything is allocated.
 */
import { PARK_WORD_BYTES, ParkWord } from '../agent/park-word.ts';
import { KIB } from '../base/units.ts';
import { LOG_MEMORY_BYTES, LogMemory } from '../log/log-memory.ts';
import { TailWindow } from '../log/tail-window.ts';
import { RingConsumer } from '../ring/ring-consumer.ts';
import { ringBytes } from '../ring/ring-layout.ts';
import { RingProducer } from '../ring/ring-producer.ts';

/** Transferable as worker data. */
export type ShardMemory = {
  /** Positions, then the park words of shard and flusher, then one of each acceptor. */
  readonly control: SharedArrayBuffer;
  readonly tail: SharedArrayBuffer;
  /** One of each acceptor. */
  readonly requests: readonly SharedArrayBuffer[];
  readonly replies: readonly SharedArrayBuffer[];
  readonly ringBytes: number;
  readonly replyRingBytes: number;
};

/** Number of the rings and the park word that replication has, where there is replication. */
export const REPLICATION_PORT = 1;

export const SHARD_WORD_AT: number = LOG_MEMORY_BYTES;
export const FLUSHER_WORD_AT: number = SHARD_WORD_AT + PARK_WORD_BYTES;
const ACCEPTOR_WORDS: number = FLUSHER_WORD_AT + PARK_WORD_BYTES;
export const REPLICATION_WORD_AT: number = ACCEPTOR_WORDS + REPLICATION_PORT * PARK_WORD_BYTES;

/** Replies name extents of the log and carry no messages: their ring is an eighth of the requests'. */
const REPLY_RING_SHARE = 8;
const REPLY_RING_BYTES_MIN: number = 256 * KIB;

/** @param ringBytesEach - capacity of a request ring, a power of two */
export function allocateShardMemory(
  tailBytes: number,
  ringBytesEach: number,
  acceptors: number,
): ShardMemory {
  const replyRingBytes = Math.max(REPLY_RING_BYTES_MIN, ringBytesEach / REPLY_RING_SHARE);
  const rings = (bytes: number): SharedArrayBuffer[] =>
    Array.from({ length: acceptors }, () => new SharedArrayBuffer(ringBytes(bytes)));
  return {
    control: new SharedArrayBuffer(ACCEPTOR_WORDS + acceptors * PARK_WORD_BYTES),
    tail: new SharedArrayBuffer(tailBytes),
    requests: rings(ringBytesEach),
    replies: rings(replyRingBytes),
    ringBytes: ringBytesEach,
    replyRingBytes,
  };
}

export function logMemoryOf(memory: ShardMemory): LogMemory {
  return new LogMemory(memory.control, 0);
}

export function tailOf(memory: ShardMemory): TailWindow {
  return new TailWindow(memory.tail);
}

export function shardWordOf(memory: ShardMemory): ParkWord {
  return new ParkWord(memory.control, SHARD_WORD_AT);
}

export function flusherWordOf(memory: ShardMemory): ParkWord {
  return new ParkWord(memory.control, FLUSHER_WORD_AT);
}

export function acceptorWordOf(memory: ShardMemory, acceptor: number): ParkWord {
  return new ParkWord(memory.control, ACCEPTOR_WORDS + acceptor * PARK_WORD_BYTES);
}

/** The shard's ends of its rings with one acceptor. */
export function shardRings(
  memory: ShardMemory,
  acceptor: number,
): { requests: RingConsumer; replies: RingProducer } {
  return {
    requests: new RingConsumer(memory.requests[acceptor] as SharedArrayBuffer, 0, memory.ringBytes),
    replies: new RingProducer(
      memory.replies[acceptor] as SharedArrayBuffer,
      0,
      memory.replyRingBytes,
    ),
  };
}

/** The acceptor's ends. */
export function acceptorRings(
  memory: ShardMemory,
  acceptor: number,
): { requests: RingProducer; replies: RingConsumer } {
  return {
    requests: new RingProducer(memory.requests[acceptor] as SharedArrayBuffer, 0, memory.ringBytes),
    replies: new RingConsumer(
      memory.replies[acceptor] as SharedArrayBuffer,
      0,
      memory.replyRingBytes,
    ),
  };
}
