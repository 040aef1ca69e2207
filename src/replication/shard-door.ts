/**
 * The replication thread's way to one shard: runs of a master's log go in, questions about the log are answered. It has a ring
 * pair of its own, like an acceptor. Never blocks.
 */
import { setU64 } from '../base/bytes.ts';
import { readText } from '../protocol/batch/text-bytes.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { ReplicaState, SettledPage, ShardControlRequest } from '../protocol/shard-control.ts';
import type { RingConsumer } from '../ring/ring-consumer.ts';
import { RING_FULL, type RingProducer } from '../ring/ring-producer.ts';

const REPLIES_PER_TURN = 256;
const encoder = new TextEncoder();

type Question = Extract<
  ShardControlRequest,
  {
    op:
      | 'replicaState'
      | 'putReplica'
      | 'settledPage'
      | 'settledLogged'
      | 'takeSettled'
      | 'slavesHeard';
  }
>;

export class ShardDoor {
  private readonly requests: RingProducer;
  private readonly replies: RingConsumer;
  private readonly wakeShard: () => void;
  private readonly waiting = new Map<number, (result: unknown) => void>();
  private correlation = 0;
  private runs = 0;

  constructor(requests: RingProducer, replies: RingConsumer, wakeShard: () => void) {
    this.requests = requests;
    this.replies = replies;
    this.wakeShard = wakeShard;
  }

  /** Runs handed over so far. What the shard says of its log holds as long as none has been added since it was asked. */
  get runsHanded(): number {
    return this.runs;
  }

  /** Hands a run of the master's log to the shard. @returns false when the ring is full: nothing was taken */
  replicate(position: number, bytes: Uint8Array, at: number, length: number): boolean {
    const place = this.requests.claim(envelope.REQUEST_REPLICATE, envelope.REPLICATE_RUN + length);
    if (place === RING_FULL) return false;
    setU64(this.requests.view, place + envelope.REPLICATE_POSITION, position);
    this.requests.bytes.set(bytes.subarray(at, at + length), place + envelope.REPLICATE_RUN);
    this.send();
    this.runs += 1;
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

  /** Asks a slave's shard for a part of its journal. @returns false when the ring is full: nothing was asked */
  settledPage(from: number, onAnswer: (page: SettledPage) => void): boolean {
    return this.ask({ op: 'settledPage', from }, (result) => onAnswer(result as SettledPage));
  }

  /** Tells a slave's shard where its journal ends in the master's log. @returns false when the ring is full */
  settledLogged(end: number): boolean {
    return this.ask({ op: 'settledLogged', end }, () => {});
  }

  /** Gives a master's shard what was settled with a slave. @returns false when the ring is full: nothing was given */
  takeSettled(records: SettledPage['records'], onLogged: (end: number) => void): boolean {
    return this.ask({ op: 'takeSettled', records }, (result) =>
      onLogged((result as { end: number }).end),
    );
  }

  /** Tells a master's shard that it may deliver. @returns false when the ring is full */
  slavesHeard(): boolean {
    return this.ask({ op: 'slavesHeard' }, () => {});
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
