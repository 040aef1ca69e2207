/**
 * The batches of one producer for one queue, in order: go-back-n. A batch is sent when all before it were sent; when
 * one is refused or the connection is lost, it and all behind it are sent again, with the same producer id, epoch and
 * sequence, so that the broker stores each once and in order. Browser-safe.
 *
 * ```
 * batches   [ sent, unanswered ........ | sealed, not sent ........ ]   building
 *             0                          sentCount                       (not sealed)
 * ```
 *
 * @source docs/PROTOCOL.md, section 1, "Sequences"
 */
import type { CancelTimer } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import type { RecordInput } from '../protocol/batch/batch-builder.ts';
import type { ReceiptEntry } from '../protocol/web/binary-codec.ts';
import type { Deferral } from '../protocol/web/checked-requests.ts';
import type { Connection } from './connection.ts';
import type { ProducerBatch } from './producer-batch.ts';
import { BatchReceipt } from './receipt.ts';
import { REFUSED_POLICY, retryDelayMs } from './retry-policy.ts';
import type { ClientRuntime } from './runtime.ts';
import type { StatusEvent } from './types.ts';

/** New epochs in a row that a broker may answer with a gap, before its refusals are believed. */
const GAPS_MAX = 8;

/** What a lane needs from its producer. */
export interface LaneOwner {
  readonly runtime: ClientRuntime;
  /** Bytes at which a batch is full. */
  readonly batchBytes: number;
  /** Unanswered batches per queue. */
  readonly maxInFlight: number;
  /** A batch with room for `bytes` more; undefined when the producer's memory is used up. */
  openBatch(lane: ProducerLane, bytes: number): ProducerBatch | undefined;
  /** A batch was sealed: an outbox may want it before it is sent. */
  sealed(batch: ProducerBatch): void;
  /** A batch has a new epoch. */
  restamped(batch: ProducerBatch): void;
  stored(batch: ProducerBatch, receipt: BatchReceipt): void;
  failed(batch: ProducerBatch, error: SluiceError): void;
  /** Another instance has taken the producer id. */
  shutOut(error: SluiceError): void;
  status(event: StatusEvent): void;
  /** It waits after a refusal: another broker may take what it has. */
  heldBack(lane: ProducerLane): void;
}

export class ProducerLane {
  readonly topic: string;
  /** -1: not known yet (an outbox fills batches before it ever met a broker). */
  queueId: number;
  /** The batch that takes messages now. */
  building: ProducerBatch | undefined;
  /** Sealed and not settled, in the order of their sequences. */
  readonly batches: ProducerBatch[] = [];
  private readonly owner: LaneOwner;
  private connection: Connection | undefined;
  private topicId = -1;
  private sentCount = 0;
  epoch: number;
  nextSequence = 0;
  /**
   * Has the broker confirmed a batch on this connection? Until then one batch at a time: a broker that does not know
   * the producer takes whatever comes first as its beginning, and would take the second for it if the first was refused.
   */
  private established = false;
  /** A batch came out of order: no more until all that was sent is answered. */
  private draining = false;
  /** A batch was taken out that the broker may not have: its refusal of the next one says nothing about the broker. */
  private hasHole = false;
  private failures = 0;
  private gaps = 0;
  private cancelRetry: CancelTimer | undefined;

  constructor(owner: LaneOwner, topic: string, queueId: number, epoch: number) {
    this.owner = owner;
    this.topic = topic;
    this.queueId = queueId;
    this.epoch = epoch;
  }

  /** Sealed batches that no connection has yet. */
  get unsentCount(): number {
    return this.batches.length - this.sentCount;
  }

  /** Does it neither send nor expect anything? */
  get isIdle(): boolean {
    return this.batches.length === 0 && this.building === undefined;
  }

  /** Is there a connection to its broker? */
  get isUp(): boolean {
    return this.connection !== undefined;
  }

  /** Is it waiting after a refusal? */
  get isHeldBack(): boolean {
    return this.cancelRetry !== undefined;
  }

  /**
   * Adds a record to the batch under construction.
   *
   * @returns the batch that has it as its last; undefined when it does not fit: the batch is sealed then
   */
  extend(
    record: RecordInput,
    size: number,
    nowMs: number,
    deferral: Deferral | undefined,
  ): ProducerBatch | undefined {
    const { building } = this;
    if (
      isSameDeferral(building?.deferral, deferral) &&
      building?.builder?.append(record, size, this.owner.batchBytes, nowMs) === true
    ) {
      building.messageCount += 1;
      if (hasKey(record)) building.hasKeys = true;
      return building;
    }
    this.seal();
    return undefined;
  }

  /**
   * Begins a batch with a record.
   *
   * @returns undefined when memory is used up
   * @throws MESSAGE_TOO_LARGE
   */
  begin(
    record: RecordInput,
    size: number,
    nowMs: number,
    deferral: Deferral | undefined,
  ): ProducerBatch | undefined {
    this.seal();
    const batch = this.owner.openBatch(this, size);
    if (batch === undefined) return undefined;
    batch.deferral = deferral;
    if (batch.builder?.append(record, size, Number.MAX_SAFE_INTEGER, nowMs) !== true)
      throw new SluiceError('INVARIANT', 'an empty batch does not take a record');
    batch.messageCount = 1;
    batch.hasKeys = hasKey(record);
    this.building = batch;
    return batch;
  }

  /** Ends the batch under construction and sends what may be sent. */
  seal(): void {
    const batch = this.building;
    if (batch === undefined) return;
    this.building = undefined;
    batch.seal(this.nextSequence, this.epoch);
    this.nextSequence += batch.messageCount;
    this.batches.push(batch);
    this.owner.sealed(batch);
    this.pump();
  }

  /** Takes a sealed batch of an earlier life, which comes before all others. */
  restore(batch: ProducerBatch): void {
    // It may have reached the broker then: an answer "duplicate" is not the sign of a twin.
    batch.attempts = 1;
    this.batches.push(batch);
  }

  /**
   * Takes batches out that may go to another broker.
   *
   * @param mayMove - decides about each
   */
  takeOut(mayMove: (batch: ProducerBatch) => boolean): readonly ProducerBatch[] {
    const moving = this.batches.filter(mayMove);
    if (moving.length === 0) return moving;
    this.rewind(this.batches.findIndex(mayMove));
    const staying = this.batches.filter((batch) => !moving.includes(batch));
    this.batches.splice(0, this.batches.length, ...staying);
    // Those behind it would be a gap; when they are, a new epoch follows (`gap`).
    this.hasHole = true;
    return moving;
  }

  /** Takes a batch from a lane of another broker, as its newest. */
  takeOver(batch: ProducerBatch): void {
    this.seal();
    batch.lane = this;
    batch.restamp(this.epoch, this.owner.runtime.crc32, this.nextSequence);
    batch.attempts = 0;
    batch.correlationId = 0;
    batch.isRefused = false;
    batch.isDoubtful = false;
    this.nextSequence += batch.messageCount;
    this.batches.push(batch);
    this.pump();
  }

  /** A connection can be used, and this is the topic's id there. */
  up(connection: Connection, topicId: number): void {
    this.connection = connection;
    this.topicId = topicId;
    this.pump();
  }

  down(): void {
    this.connection = undefined;
    this.established = false;
    this.cancelRetry?.();
    this.cancelRetry = undefined;
    this.rewind(0);
  }

  /** Sends as much as the windows allow. */
  pump(): void {
    const { connection, owner } = this;
    if (connection === undefined || this.cancelRetry !== undefined) return;
    if (this.draining && this.sentCount > 0) return;
    this.draining = false;
    const window = this.established
      ? Math.min(owner.maxInFlight, connection.limits.producerBatches)
      : 1;
    while (this.sentCount < this.batches.length && this.sentCount < window) {
      const batch = this.batches[this.sentCount] as ProducerBatch;
      if (!batch.released || batch.refusal !== undefined || !connection.hasRoom) return;
      this.sentCount += 1;
      if (batch.attempts > 0 && !batch.isRefused) batch.isDoubtful = true;
      batch.isRefused = false;
      batch.send(connection, this.topicId, this.queueId);
    }
  }

  stored(batch: ProducerBatch, entry: Readonly<ReceiptEntry>): void {
    const index = this.batches.indexOf(batch);
    if (index < 0) return;
    if (entry.duplicate && batch.attempts === 1) {
      this.owner.shutOut(
        new SluiceError(
          'STALE_PRODUCER_EPOCH',
          `the sequences of this producer are in use for topic ${this.topic}, queue ${this.queueId}: another instance has the same producerId and epoch`,
        ),
      );
      return;
    }
    if (index === 0) this.batches.shift();
    else this.batches.splice(index, 1);
    this.sentCount -= 1;
    this.established = true;
    this.failures = 0;
    this.gaps = 0;
    const { connection } = this;
    const receipt = new BatchReceipt(
      this.topic,
      entry,
      connection?.messageIdPrefix ?? '',
      connection?.brokerName ?? '',
    );
    this.owner.stored(batch, receipt);
    if (index === 0) this.dropRefused();
  }

  refused(batch: ProducerBatch, error: SluiceError): void {
    const index = this.batches.indexOf(batch);
    if (index < 0) return;
    if (error.code === 'STALE_PRODUCER_EPOCH') {
      this.owner.shutOut(error);
      return;
    }
    this.rewind(index);
    batch.isRefused = error.stored === false && !batch.isDoubtful;
    if (error.code === 'SEQUENCE_GAP') this.gap(index, error);
    else if (error.retryable) this.holdBack(error);
    else {
      batch.refusal = error;
      if (index === 0) this.dropRefused();
    }
  }

  /** Gives one sealed batch up, wherever it stands. */
  drop(batch: ProducerBatch, error: SluiceError): void {
    const index = this.batches.indexOf(batch);
    if (index < 0) return;
    this.rewind(index);
    this.batches.splice(index, 1);
    this.hasHole = true;
    this.owner.failed(batch, error);
    // Those behind it would be a gap; when they are, a new epoch follows (`gap`). Offline nothing needs to be done.
    this.pump();
  }

  /** Gives everything up. */
  failAll(error: SluiceError): void {
    this.cancelRetry?.();
    this.cancelRetry = undefined;
    const { building } = this;
    this.building = undefined;
    this.sentCount = 0;
    for (const batch of this.batches.splice(0)) this.owner.failed(batch, error);
    if (building !== undefined) this.owner.failed(building, error);
    // Some of it may have been stored: what comes next must not look like its continuation.
    this.bumpEpoch();
  }

  /** From `index` on nothing counts as sent any more; answers still to come are stale. */
  private rewind(index: number): void {
    for (let at = index; at < this.sentCount; at += 1)
      (this.batches[at] as ProducerBatch).correlationId = 0;
    this.sentCount = Math.min(this.sentCount, index);
  }

  private gap(index: number, error: SluiceError): void {
    if (index > 0) {
      // A batch before it is still unanswered or was refused: it goes out again right behind that one.
      this.draining = true;
      return;
    }
    // All before it was acknowledged or dropped, and the broker does not have it. This batch is certainly not stored,
    // and a new epoch lets it be the first.
    const { topic, queueId } = this;
    if (this.hasHole) this.hasHole = false;
    else {
      // Nothing was dropped: the broker lost data, or is another one.
      this.owner.status({ type: 'sequence-lost', topic, queueId, error });
    }
    this.gaps += 1;
    if (this.gaps > GAPS_MAX) this.failAll(error);
    else this.bumpEpoch();
  }

  private holdBack(error: SluiceError): void {
    this.failures += 1;
    const { runtime } = this.owner;
    const delayMs = error.retryAfterMs ?? retryDelayMs(REFUSED_POLICY, this.failures, runtime.prng);
    this.cancelRetry?.();
    this.cancelRetry = runtime.startTimer(delayMs, () => {
      this.cancelRetry = undefined;
      this.pump();
    });
    const { topic, queueId } = this;
    this.owner.status({ type: 'held-back', topic, queueId, delayMs, error });
    // Once may be a moment's full ring.
    if (this.failures > 1) this.owner.heldBack(this);
  }

  /** A batch that was refused for good is dropped once it is the first: all before it are answered. */
  private dropRefused(): void {
    const batch = this.batches[0];
    const error = batch?.refusal;
    if (batch === undefined || error === undefined) return;
    if (error.stored !== false) {
      // Nobody knows whether it was stored, nor what came behind it: nothing of that may be sent again.
      this.failAll(error);
      return;
    }
    this.batches.shift();
    this.owner.failed(batch, error);
    // Those behind it would be a gap for ever; under a new epoch they are not, and old copies of them are refused.
    this.bumpEpoch();
    this.dropRefused();
  }

  private bumpEpoch(): void {
    this.epoch += 1;
    this.established = false;
    this.rewind(0);
    for (const batch of this.batches) {
      batch.restamp(this.epoch, this.owner.runtime.crc32);
      this.owner.restamped(batch);
    }
    this.pump();
  }
}

function hasKey({ key }: RecordInput): boolean {
  return key !== undefined && key !== '';
}

function isSameDeferral(one: Deferral | undefined, other: Deferral | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  if ('delayMs' in one) return 'delayMs' in other && one.delayMs === other.delayMs;
  return 'deliverAt' in other && one.deliverAt === other.deliverAt;
}
