/**
 * The replication thread's way to one shard: runs of a master's log go in, questions about the log are answered. It has a ring
 * pair of its own, like an acceptor. Never blocks.
 */
import { setU64 } from '../base/bytes.ts';
import { readText } from '../protocol/batch/text-bytes.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { ReplicaState } from '../protocol/shard-control.ts';
import type { RingConsumer } from '../ring/ring-consumer.ts';
import { RING_FULL, type RingProducer } from '../ring/ring-producer.ts';

const REPLIES_PER_TURN = 256;
const encoder = new TextEncoder();

type Question = { readonly op: 'replicaState' } | { readonly op: 'putReplica'; name: string };

export class ShardDoor {
  private readonly requests: RingProducer;
  private readonly replies: RingConsumer;
  private readonly wakeShard: () => void;
  private readonly waiting = new Map<number, (result: unknown) => void>();
  private correlation = 0;

  constructor(requests: RingProducer, replies: RingConsumer, wakeShard: () => void) {
    this.requests = requests;
    this.replies = replies;
    this.wakeShard = wakeShard;
  }

  /** Hands a run of the master's log to the shard. @returns false when the ring is full: nothing was taken */
  replicate(position: number, bytes: Uint8Array, at: number, length: number): boolean {
    const place = this.requests.claim(envelope.REQUEST_REPLICATE, envelope.REPLICATE_RUN + length);
    if (place === RING_FULL) return false;
    setU64(this.requests.view, place + envelope.REPLICATE_POSITION, position);
    this.requests.bytes.set(bytes.subarray(at, at + length), place + envelope.REPLICATE_RUN);
    this.send();
    return true;
  }

  /** @returns false when the ring is full: nothing was asked */
  askState(onAnswer: (state: ReplicaState) => void): boolean {
    return this.ask({ op: 'replicaState' }, (result) => onAnswer(result as ReplicaState));
  }

  /** Writes a slave's name into the log. @returns false when the ring is full: nothing was asked */
  putReplica(name: string, onRecorded: (end: number) => void): boolean {
    return this.ask({ op: 'putReplica', name }, (result) =>
      onRecorded((result as { end: number }).end),
    );
  }

  /** Takes the answers that are there. @returns how many */
  poll(): number {
    return this.replies.read((type, at, length) => {
      if (type !== envelope.REPLY_CONTROL) return true;
      const { view, bytes } = this.replies;
      const correlation = view.getUint32(at + envelope.CONTROL_CORRELATION, true);
      const onAnswer = this.waiting.get(correlation);
      this.waiting.delete(correlation);
      onAnswer?.(JSON.parse(readText(bytes, at + envelope.CONTROL_JSON, at + length)));
      return true;
    }, REPLIES_PER_TURN);
  }

  private ask(question: Question, onAnswer: (result: unknown) => void): boolean {
    const json = encoder.encode(JSON.stringify(question));
    const at = this.requests.claim(envelope.REQUEST_CONTROL, envelope.CONTROL_JSON + json.length);
    if (at === RING_FULL) return false;
    this.correlation += 1;
    this.requests.view.setUint32(at + envelope.CONTROL_SESSION, 0, true);
    this.requests.view.setUint32(at + envelope.CONTROL_CORRELATION, this.correlation, true);
    this.requests.bytes.set(json, at + envelope.CONTROL_JSON);
    this.waiting.set(this.correlation, onAnswer);
    this.send();
    return true;
  }

  private send(): void {
    this.requests.publish();
    this.wakeShard();
  }
}
