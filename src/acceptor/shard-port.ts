/**
 * A shard as the acceptor sees it: two rings, a way to wake it, and its tail in shared memory. `src/broker` makes one per
 * shard from threads; tests make one from a shard in the same thread.
 */
import type { RingConsumer } from '../ring/ring-consumer.ts';
import type { RingProducer } from '../ring/ring-producer.ts';

/** `restarting` ends by itself, `fenced` needs an operator. */
export type ShardState = 'running' | 'restarting' | 'fenced';

export interface ShardPort {
  readonly shard: number;
  readonly requests: RingProducer;
  readonly replies: RingConsumer;
  /** Called after each publish on `requests`. */
  wake(): void;
  /**
   * The stored batch at `position`, in place.
   *
   * @returns undefined when it is no longer in the tail's memory
   * @shape borrowed until the handler of the reply record that named the extent returns
   */
  tailView(position: number, bytes: number): Uint8Array | undefined;
  readonly state: ShardState;
}
