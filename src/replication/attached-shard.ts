/** One open shard as the replication thread holds it: its memory, its door, its log, and whether anything has changed. */
import type { MessagePort } from 'node:worker_threads';
import type { ParkWord } from '../agent/park-word.ts';
import type { LogMemory } from '../log/log-memory.ts';
import type { Storage } from '../log/storage.ts';
import type { ReplicaState } from '../protocol/shard-control.ts';
import type { RingConsumer } from '../ring/ring-consumer.ts';
import {
  acceptorRings,
  acceptorWordOf,
  logMemoryOf,
  REPLICATION_PORT,
  type ShardMemory,
  shardWordOf,
  tailOf,
} from '../shard/shard-memory.ts';
import { lastEpoch } from './epoch-history.ts';
import { type LogShape, LogSource } from './log-source.ts';
import { ShardDoor } from './shard-door.ts';

export class AttachedShard {
  readonly shard: number;
  readonly memory: LogMemory;
  readonly source: LogSource;
  readonly door: ShardDoor;
  /** By it the shard and its flusher see that this thread sleeps. */
  readonly word: ParkWord;
  /** Newest epoch in the log; -1 while it is not known. */
  logEpoch = -1;
  private readonly shardWord: ParkWord;
  private readonly replies: RingConsumer;
  private readonly ports: readonly MessagePort[];
  private isAsked = false;
  private seen = 0;
  private told = 0;

  constructor(options: {
    readonly shard: number;
    readonly memory: ShardMemory;
    readonly ports: readonly MessagePort[];
    readonly storage: Storage;
    readonly shape: LogShape;
    readonly schedule: () => void;
  }) {
    const { shard, memory, ports, storage, shape, schedule } = options;
    this.shard = shard;
    this.memory = logMemoryOf(memory);
    this.source = new LogSource(storage, this.memory, tailOf(memory), shape);
    this.word = acceptorWordOf(memory, REPLICATION_PORT);
    this.shardWord = shardWordOf(memory);
    this.ports = ports;
    const { requests, replies } = acceptorRings(memory, REPLICATION_PORT);
    this.replies = replies;
    this.door = new ShardDoor(requests, replies, () => this.shardWord.wake());
    for (const port of ports) port.on('message', schedule);
  }

  /** At the beginning of a duty cycle. */
  look(): void {
    this.seen = this.positions();
    if (this.logEpoch >= 0) return;
    // Without a connection nobody else takes the answer.
    this.door.poll();
    if (this.isAsked) return;
    this.isAsked = this.door.askState((state: ReplicaState) => {
      this.noteEpoch(lastEpoch(state.epochs));
    });
  }

  noteEpoch(epoch: number): void {
    this.logEpoch = Math.max(this.logEpoch, epoch);
  }

  /** Has anything changed since `look`? */
  hasNews(): boolean {
    return this.positions() !== this.seen || !this.replies.isEmpty();
  }

  /** Wakes the shard when replication has decided something. */
  tell(): void {
    const now = this.memory.replicated.observe() * 256 + (this.memory.gate() & 255);
    if (now === this.told) return;
    this.told = now;
    this.shardWord.wake();
  }

  close(): void {
    for (const port of this.ports) port.close();
    this.source.close();
  }

  /** A number that is another one when any of the positions has moved: none of them goes back. */
  private positions(): number {
    const { appended, written, flushed, commit } = this.memory;
    return written.observe() + flushed.observe() + commit.observe() + appended.observe();
  }
}
