/**
 * Producers of a simulated run. One kind has an identity: it keeps what was not acknowledged and sends it again, same
 * batches, same sequences, until it is; the broker must store each once. The other kind sends and takes what comes.
 */
import { ERROR_CODES } from '../base/error-codes.ts';
import { OFFSET_UNKNOWN } from '../protocol/envelope-layout.ts';
import { SimViolation } from './sim-invariants.ts';
import type { Answer } from './sim-link.ts';
import { bodySizes, type SimBatch, storedBytes, TAGS } from './sim-messages.ts';
import type { SimTopic, World } from './sim-world.ts';

/** Unacknowledged batches of one producer and queue. */
const OPEN_MAX = 4;
/** Acknowledged batches that a producer may send once more, as if the ack had been lost. */
const REMEMBERED_MAX = 8;

/** One producer id on one queue. */
type Stream = {
  readonly topic: SimTopic;
  readonly q: number;
  epoch: number;
  next: number;
  /** Not acknowledged, in order. */
  open: SimBatch[];
  /** Of those, sent and unanswered. */
  inFlight: number;
  /** Something failed: nothing new until what is open was sent again. */
  mustResend: boolean;
  /** A batch of this epoch was acknowledged: the broker knows the producer. */
  isKnown: boolean;
  /**
   * The same for this connection. Until then one batch at a time: a broker that does not know a producer takes whatever
   * comes first as its beginning, and would take the second batch for it when the first was refused.
   */
  isEstablished: boolean;
  /** A batch with a wrong sequence is under way: nothing else, or two batches could have the same sequence. */
  isProbing: boolean;
  readonly acked: { readonly batch: SimBatch; readonly baseOffset: number }[];
};

export class SimProducers {
  private readonly world: World;
  private readonly streams: Stream[] = [];

  constructor(world: World) {
    this.world = world;
  }

  /** Sends a new batch to some queue, by a producer of the kind that the topic has. */
  send(): void {
    const topic = this.world.pick(this.world.topics.filter(isWritten));
    if (topic === undefined) return;
    this.sendTo(topic, this.world.prng.integer(topic.record.queues));
  }

  /** Sends a new batch to one queue. @param sizes - bytes of each body; by chance when they are not given */
  sendTo(topic: SimTopic, q: number, sizes?: readonly number[]): void {
    if (topic.writers === 'plain') this.sendPlain(topic, q, sizes);
    else this.sendNext(this.streamOf(topic, q), sizes);
  }

  /** Sends what was not acknowledged again; waits until nothing of it is under way, so that the order is kept. */
  resend(): void {
    for (const stream of this.streams) {
      if (!stream.mustResend || stream.inFlight > 0 || !isWritten(stream.topic)) continue;
      stream.mustResend = false;
      const batches = stream.isEstablished ? stream.open : stream.open.slice(0, 1);
      for (const batch of batches) this.transmit(stream, batch);
      if (batches.length < stream.open.length) stream.mustResend = true;
    }
  }

  /** The ack was lost, as far as this producer knows: the broker must answer with the first offset. */
  sendDuplicate(): void {
    const stream = this.world.pick(this.streams.filter((one) => one.acked.length > 0));
    const past = this.world.pick(stream?.acked ?? []);
    if (stream === undefined || past === undefined || !isWritten(stream.topic)) return;
    if (past.batch.epoch !== stream.epoch) return;
    this.put(stream.topic, stream.q, past.batch, (answer) => {
      if (answer?.kind !== 'produced' || !this.isExact(past.batch)) return;
      if (!answer.isDuplicate)
        throw new SimViolation(`${past.batch.messages[0]?.id} was stored twice`);
      this.world.counts.duplicates += 1;
      if (answer.baseOffset !== OFFSET_UNKNOWN && answer.baseOffset !== past.baseOffset)
        throw new SimViolation(
          `a duplicate was answered with ${answer.baseOffset}, not ${past.baseOffset}`,
        );
    });
  }

  /** A batch that leaves sequences out, or is of an epoch that is over, must be refused. */
  sendWrongSequence(): void {
    const stream = this.world.pick(this.streams.filter((one) => one.isKnown));
    if (stream === undefined || !isWritten(stream.topic)) return;
    if (stream.open.length > 0 || stream.isProbing) return;
    // A broker that has lost the newer epoch rightly takes an older one's first sequence for a duplicate.
    const isOld = stream.epoch > 0 && this.world.prng.chance(0.5) && this.isExact(undefined);
    const sequence = isOld ? 0 : stream.next + 1 + this.world.prng.integer(3);
    const batch = this.newBatch(stream, sequence, isOld ? stream.epoch - 1 : stream.epoch);
    stream.isProbing = this.put(stream.topic, stream.q, batch, (answer) => {
      stream.isProbing = false;
      if (answer?.kind === 'produced' && this.isExact(undefined))
        throw new SimViolation(`sequence ${sequence} was taken after ${stream.next}`);
      if (answer?.kind === 'failed') this.world.counts.gapsRefused += 1;
      // A broker that has forgotten the producer may have taken it: its sequence must not be used again.
      else this.startEpoch(stream);
    });
  }

  /** A producer that restarts without its memory begins a new epoch. */
  raiseEpoch(): void {
    const stream = this.world.pick(this.streams.filter((one) => one.open.length === 0));
    if (stream !== undefined && !stream.isProbing) this.startEpoch(stream);
  }

  /** Is something still unacknowledged that could be? */
  get isWaiting(): boolean {
    return this.streams.some((stream) => stream.open.length > 0 && isWritten(stream.topic));
  }

  /** How many batches wait, for messages to people. */
  describeWaiting(): string {
    return this.streams
      .filter((one) => one.open.length > 0 && isWritten(one.topic))
      .map((one) => `${one.topic.name}/${one.q}: ${one.open.length} from ${one.open[0]?.sequence}`)
      .join(', ');
  }

  private sendPlain(topic: SimTopic, q: number, sizes?: readonly number[]): void {
    const batch = this.encode(topic, 'plain', 0, 0, '', sizes);
    this.put(topic, q, batch, (answer) => {
      // Sent once more now and then although the outcome is unknown: twice is legal here.
      if (answer === undefined || answer.kind === 'produced') return;
      if (isUnknown(answer) && this.world.prng.chance(0.3)) this.put(topic, q, batch, () => {});
    });
  }

  private sendNext(stream: Stream, sizes?: readonly number[]): void {
    const openMax = stream.isEstablished ? OPEN_MAX : 1;
    if (stream.mustResend || stream.isProbing || stream.open.length >= openMax) return;
    const batch = this.newBatch(stream, stream.next, stream.epoch, sizes);
    stream.next += batch.messages.length;
    stream.open.push(batch);
    this.transmit(stream, batch);
  }

  private transmit(stream: Stream, batch: SimBatch): void {
    stream.inFlight += 1;
    const isSent = this.put(stream.topic, stream.q, batch, (answer) => {
      stream.inFlight -= 1;
      if (answer?.kind === 'produced') this.confirm(stream, batch, answer.baseOffset);
      else this.onTrouble(stream, batch, answer);
    });
    if (isSent) return;
    stream.inFlight -= 1;
    stream.mustResend = true;
  }

  private confirm(stream: Stream, batch: SimBatch, baseOffset: number): void {
    stream.open = stream.open.filter((one) => one !== batch);
    if (batch.epoch !== stream.epoch) return;
    stream.isKnown = true;
    stream.isEstablished = true;
    stream.acked.push({ batch, baseOffset });
    if (stream.acked.length > REMEMBERED_MAX) stream.acked.shift();
  }

  private onTrouble(stream: Stream, batch: SimBatch, answer: Answer): void {
    stream.mustResend = true;
    if (answer === undefined) stream.isEstablished = false;
    if (answer?.kind !== 'failed') return;
    const isFirst = stream.open[0] === batch;
    if (answer.code === 'SEQUENCE_GAP' && isFirst && this.isExact(batch))
      throw new SimViolation(`the next batch of a producer was refused: ${answer.text}`);
    // The broker has lost what it was allowed to lose: the producer gives up what is open and begins anew.
    if (answer.code === 'SEQUENCE_GAP' && isFirst) this.startEpoch(stream);
    if (answer.code === 'STALE_PRODUCER_EPOCH' && this.isExact(batch))
      throw new SimViolation(`the epoch of a producer was refused: ${answer.text}`);
  }

  /** Must the broker know everything that this producer was told? Not after a loss that its mode allows. */
  private isExact(batch: SimBatch | undefined): boolean {
    const { world } = this;
    const hasLost = world.flushMode === 'ASYNC_FLUSH' && world.counts.powerLosses > 0;
    const hasFailed = world.flushMode === 'ASYNC_FLUSH' && world.counts.diskErrors > 0;
    const isRotten = world.rotPositions.length > 0;
    return batch?.messages[0]?.excuse === undefined && !hasLost && !hasFailed && !isRotten;
  }

  private startEpoch(stream: Stream): void {
    stream.epoch += 1;
    stream.next = this.world.prng.integer(3);
    stream.open = [];
    stream.isKnown = false;
    stream.isEstablished = false;
    stream.mustResend = false;
  }

  private newBatch(
    stream: Stream,
    sequence: number,
    epoch: number,
    sizes?: readonly number[],
  ): SimBatch {
    const name = `producer-${stream.topic.topicId}-${stream.q}`;
    return this.encode(stream.topic, name, sequence, epoch, producerId(stream), sizes);
  }

  private encode(
    topic: SimTopic,
    producer: string,
    sequence: number,
    epoch: number,
    id: string,
    given?: readonly number[],
  ): SimBatch {
    const { ledger, prng, sizes } = this.world;
    const nowMs = this.world.clock.monotonicMs();
    const bodies = given ?? bodySizes(prng, sizes, this.world.bodyBytesMax);
    const messages = bodies.map((bytes) =>
      ledger.create(topic.name, producer, TAGS[prng.integer(TAGS.length)] as string, bytes, nowMs),
    );
    return ledger.encode(messages, id, sequence, epoch);
  }

  /** Sends a batch and writes down what is known of its fate. @returns false when the ring was full */
  private put(
    topic: SimTopic,
    q: number,
    batch: SimBatch,
    onAnswer: (answer: Answer) => void,
  ): boolean {
    const { world } = this;
    const { recorder } = world;
    const dedup = topic.writers === 'dedup';
    batch.messages.forEach(({ id, producer, crc }, index) => {
      const order = dedup ? { seq: batch.sequence + index, epoch: batch.epoch, dedup } : {};
      recorder.sendInvoke({ id, p: producer, topic: topic.name, crc, ...order });
    });
    const correlation = world.rig.produceBytes(topic.topicId, q, batch.bytes);
    const isSent = world.link.expect(correlation, (answer) => {
      this.record(q, batch, answer);
      onAnswer(answer);
    });
    if (!isSent) for (const { id } of batch.messages) recorder.sendFail(id);
    return isSent;
  }

  private record(q: number, batch: SimBatch, answer: Answer): void {
    const { recorder, ledger, clock, counts } = this.world;
    if (answer?.kind === 'produced') {
      const isPlaced = answer.baseOffset !== OFFSET_UNKNOWN;
      const end = isPlaced ? answer.position + storedBytes(batch) : 0;
      if (isPlaced) ledger.acked(batch, q, answer.baseOffset, answer.position, clock.monotonicMs());
      batch.messages.forEach(({ id }, index) => {
        const receipt = { q, off: answer.baseOffset + index, node: 'broker', shard: 0, end };
        recorder.sendOk(id, isPlaced ? receipt : {});
      });
      return;
    }
    const isRefused = answer?.kind === 'failed' && !isUnknown(answer);
    if (answer?.kind === 'failed' && answer.code === 'STORAGE_FULL') counts.fullRefusals += 1;
    for (const message of batch.messages) {
      message.isRefused = isRefused;
      if (isRefused) recorder.sendFail(message.id);
      else recorder.sendInfo(message.id);
    }
  }

  private streamOf(topic: SimTopic, q: number): Stream {
    let stream = this.streams.find((one) => one.topic === topic && one.q === q);
    if (stream === undefined) {
      stream = {
        ...{ topic, q, epoch: 0, next: this.world.prng.integer(5), open: [], inFlight: 0 },
        ...{ mustResend: false, isKnown: false, isEstablished: false, isProbing: false, acked: [] },
      };
      this.streams.push(stream);
    }
    return stream;
  }
}

/** Eight characters, so that fixed sizes stay fixed. */
function producerId({ topic, q }: Stream): string {
  return `p${String(topic.topicId).padStart(5, '0')}${String(q).padStart(2, '0')}`;
}

function isWritten(topic: SimTopic): boolean {
  return topic.state === 'live' && (topic.writers === 'dedup' || topic.writers === 'plain');
}

function isUnknown(answer: Exclude<Answer, undefined>): boolean {
  return answer.kind === 'failed' && ERROR_CODES[answer.code].stored === 'unknown';
}
