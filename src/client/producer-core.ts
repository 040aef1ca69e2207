/**
 * The works of a producer: memory, batches, linger, deadlines, and the routes and lanes that messages go through.
 * `producer.ts` is what users see of it. Browser-safe.
 */
import { SluiceError } from '../base/errors.ts';
import { BATCH_BYTES_MAX, BODY_BYTES_MAX } from '../base/limits.ts';
import { alignUp } from '../base/units.ts';
import { BATCH_HEADER_BYTES } from '../protocol/batch/batch-layout.ts';
import { BatchMemory } from './batch-memory.ts';
import type { Connection } from './connection.ts';
import { Linger } from './linger.ts';
import type { Link } from './link.ts';
import { checkMessage, RecordScratch } from './outgoing.ts';
import { ProducerBatch } from './producer-batch.ts';
import { type LaneOwner, ProducerLane } from './producer-lane.ts';
import type { ProducerOutbox } from './producer-outbox.ts';
import type { ProducerSettings } from './producer-settings.ts';
import { PushFailures } from './push-failures.ts';
import type { LinkMember, Reach } from './reach.ts';
import type { BatchReceipt } from './receipt.ts';
import type { ClientRuntime } from './runtime.ts';
import { SendDeadlines } from './send-deadlines.ts';
import { type RouteOwner, TopicRoute, type WaitingMessages } from './topic-route.ts';
import type { OutgoingMessage, StatusEvent } from './types.ts';
import { Watchers } from './watchers.ts';

/** Batch header with the longest producer id, and padding. */
const BATCH_OVERHEAD_BYTES = BATCH_HEADER_BYTES + 64 + 8;
/** The clock is read for every so many messages of a batch: a power of two. */
const CLOCK_EVERY = 16;

export class ProducerCore implements LaneOwner, RouteOwner, LinkMember {
  readonly reach: Reach;
  readonly runtime: ClientRuntime;
  readonly settings: ProducerSettings;
  readonly batchBytes: number;
  readonly maxInFlight: number;
  readonly memory: BatchMemory;
  readonly pushFailures: PushFailures;
  /** Why it takes nothing more. */
  closedBy: SluiceError | undefined;
  isShut = false;
  readonly routes: Map<string, TopicRoute> = new Map();
  outbox: ProducerOutbox | undefined;
  private readonly scratch = new RecordScratch();
  private readonly buildingLanes = new Set<ProducerLane>();
  private lastRoute: TopicRoute | undefined;
  private nowMs = 0;
  private placedCount = 0;
  private bodyBytesMax = BODY_BYTES_MAX;
  private batchBytesMax = BATCH_BYTES_MAX;
  private openBatches = 0;
  private waitingCount = 0;
  private isBusy = false;
  private readonly linger: Linger;
  private readonly deadlines: SendDeadlines;
  private readonly watchers = new Watchers();

  constructor(reach: Reach, settings: ProducerSettings) {
    this.reach = reach;
    this.runtime = reach.runtime;
    this.settings = settings;
    this.batchBytes = settings.batchBytes;
    this.maxInFlight = settings.maxInFlight;
    this.memory = new BatchMemory(settings.bufferBytes, settings.batchBytes, this.runtime.crc32);
    this.pushFailures = new PushFailures(settings.onFailure);
    const { sendTimeoutMs, lingerMs } = settings;
    this.linger = new Linger(this.runtime, lingerMs, () => this.sealAll());
    this.deadlines = new SendDeadlines(this.runtime, this.routes, sendTimeoutMs, () =>
      this.changed(),
    );
  }

  get producerId(): string {
    return this.settings.producerId;
  }

  /** The route of a message that was checked. @throws INVALID_ARGUMENT, INVALID_NAME, CLOSED */
  routeOf(message: OutgoingMessage): TopicRoute {
    if (this.closedBy !== undefined) throw this.closedError();
    const last = this.lastRoute;
    if (last !== undefined && message?.topic === last.topic) return last;
    checkMessage(message);
    const route = this.openRoute(message.topic);
    this.lastRoute = route;
    return route;
  }

  openRoute(topic: string): TopicRoute {
    let route = this.routes.get(topic);
    if (route === undefined) {
      route = new TopicRoute(this, topic, this.outbox !== undefined);
      this.routes.set(topic, route);
    }
    // Where an earlier life sent the topic's messages is known first.
    if (this.outbox?.isOpening !== true) route.resolve();
    return route;
  }

  /** Can a message of this route go into a batch, as far as the route is concerned? */
  isOpen(route: TopicRoute): boolean {
    return route.waiting.length === 0 && this.isReady(route);
  }

  /** Puts one message into a batch; undefined when memory is used up. @throws what is wrong with the message */
  readonly place = (route: TopicRoute, message: OutgoingMessage): ProducerBatch | undefined => {
    const size = this.scratch.fill(message);
    const { record, deferral } = this.scratch;
    if (record.body.length > this.bodyBytesMax)
      throw new SluiceError(
        'MESSAGE_TOO_LARGE',
        `the body has ${record.body.length} bytes; the broker allows ${this.bodyBytesMax}`,
      );
    this.placedCount += 1;
    if (this.placedCount % CLOCK_EVERY === 0) this.nowMs = this.runtime.clock.epochMs();
    let lane = route.laneOf(record.key);
    if (lane.building !== undefined) {
      const batch = lane.extend(record, size, this.nowMs, deferral);
      if (batch !== undefined) return batch;
      // It was full and is on its way: without a key another queue has its turn.
      lane = route.laneOf(record.key);
    }
    this.nowMs = this.runtime.clock.epochMs();
    return lane.begin(record, size, this.nowMs, deferral);
  };

  wait(route: TopicRoute, entry: WaitingMessages): void {
    route.waiting.push(entry);
    this.memory.waitingBytes += entry.bytes;
    this.waitingCount += 1;
    this.workChanged();
  }

  /** Bytes of the record of a message. @throws what is wrong with it */
  sizeOf(message: OutgoingMessage): number {
    return this.scratch.fill(message);
  }

  /** Is there memory for a batch that begins with a record of `size` bytes? */
  hasRoomFor(size: number): boolean {
    return this.memory.canClaim(this.bytesFor(size));
  }

  /** Calls `check` after every answer until it returns true. @returns stops that */
  watch(check: () => boolean): () => void {
    return this.watchers.watch(check);
  }

  sealAll(): void {
    for (const lane of [...this.buildingLanes]) lane.seal();
  }

  /** Every batch that is not answered; those under construction are sealed. */
  *unanswered(): IterableIterator<ProducerBatch> {
    this.sealAll();
    for (const route of this.routes.values()) for (const lane of route.lanes) yield* lane.batches;
  }

  /** Messages in batches, and those in front of them. */
  get unansweredCount(): number {
    let count = 0;
    for (const route of this.routes.values()) count += route.unansweredCount;
    return count;
  }

  closedError(): SluiceError {
    const cause = this.closedBy;
    if (cause !== undefined && cause.code !== 'CLOSED') return cause;
    return new SluiceError('CLOSED', 'the producer is closed', { cause });
  }

  /** Takes no more messages; what it has goes on. */
  stop(error: SluiceError): void {
    this.closedBy ??= error;
    this.changed();
  }

  /** Ends everything now: what is not answered fails with `error`. An outbox keeps what it was given. */
  shut(error: SluiceError): void {
    if (this.isShut) return;
    this.isShut = true;
    this.closedBy ??= error;
    if (this.outbox !== undefined) this.sealAll();
    this.reach.removeMember(this);
    this.linger.cancel();
    for (const route of this.routes.values()) {
      route.close();
      for (const entry of route.waiting.clear()) {
        this.tookWaiting(route, entry);
        entry.fail(error);
      }
      for (const lane of route.lanes) lane.failAll(error);
    }
    this.changed();
    void this.outbox?.close(); // It never rejects.
  }

  up(connection: Connection): void {
    const { bodyBytes, batchBytes } = connection.limits;
    // A batch may go to any of them.
    const { isSingle } = this.reach;
    this.bodyBytesMax = isSingle ? bodyBytes : Math.min(bodyBytes, this.bodyBytesMax);
    this.batchBytesMax = isSingle ? batchBytes : Math.min(batchBytes, this.batchBytesMax);
    this.resolveRoutes();
  }

  routeChanged(topic: string): void {
    this.routes.get(topic)?.resolve();
    this.changed();
  }

  routeMissing(topic: string, error: SluiceError): void {
    const route = this.routes.get(topic);
    if (route !== undefined) this.routeFailed(route, error);
  }

  /** Asks for the topics that this connection has not been asked for. */
  resolveRoutes(): void {
    if (this.outbox?.isOpening === true) return;
    for (const route of this.routes.values()) route.resolve();
  }

  down(_: SluiceError, link: Link): void {
    for (const route of this.routes.values()) route.down(link);
    this.changed();
  }

  progress(): void {
    for (const route of this.routes.values()) {
      for (const lane of route.lanes) if (lane.unsentCount > 0) lane.pump();
    }
    this.changed();
  }

  closed(error: SluiceError): void {
    this.shut(new SluiceError('CLOSED', 'the client is closed', { cause: error }));
  }

  newLane(topic: string, queueId: number): ProducerLane {
    return new ProducerLane(this, topic, queueId, this.settings.producerEpoch);
  }

  routeReady(route: TopicRoute): void {
    this.outbox?.routeReady(route);
    this.changed();
  }

  routeFailed(route: TopicRoute, error: SluiceError): void {
    if (this.isShut) return; // and everybody has been told
    // The route stays: its lanes know which sequences are used up. The next message asks for the topic again.
    this.lastRoute = undefined;
    for (const entry of route.waiting.clear()) {
      this.tookWaiting(route, entry);
      entry.fail(error);
    }
    for (const lane of route.lanes) lane.failAll(error);
    this.changed();
  }

  openBatch(lane: ProducerLane, size: number): ProducerBatch | undefined {
    const batchBytes = batchBytesOf(size);
    if (batchBytes > this.batchBytesMax)
      throw new SluiceError(
        'MESSAGE_TOO_LARGE',
        `the message makes a batch of ${batchBytes} bytes; the broker allows ${this.batchBytesMax}`,
      );
    const bytes = this.bytesFor(size);
    if (!this.memory.claim(bytes)) {
      // Batches that wait for company hold memory that is needed now.
      this.sealAll();
      return undefined;
    }
    const builder = this.memory.builder(this.producerId);
    const batch = new ProducerBatch(lane, builder, bytes, this.runtime.clock.monotonicMs());
    this.opened();
    this.buildingLanes.add(lane);
    this.linger.start();
    return batch;
  }

  /** Takes up a batch of an earlier life: its memory is in use already. */
  adopt(batch: ProducerBatch): void {
    this.memory.usedBytes += batch.bytes;
    this.opened();
  }

  /** Gives back what a sealed batch does not use of its buffer: an outbox may hold thousands of small ones for hours. */
  shrink(batch: ProducerBatch): void {
    if (batch.builder === null) return;
    batch.setFrame(batch.frame.slice());
    this.memory.release(batch.bytes, batch.builder);
    batch.builder = null;
    batch.bytes = batch.frame.length;
    this.memory.usedBytes += batch.bytes;
  }

  sealed(batch: ProducerBatch): void {
    this.buildingLanes.delete(batch.lane);
    this.outbox?.sealed(batch);
  }

  restamped(batch: ProducerBatch): void {
    this.outbox?.restamped(batch);
  }

  stored(batch: ProducerBatch, receipt: BatchReceipt): void {
    this.release(batch);
    this.outbox?.settled(batch);
    batch.complete(receipt);
    this.settings.onReceipt?.(receipt);
  }

  failed(batch: ProducerBatch, error: SluiceError): void {
    this.release(batch);
    // At the end of the page's life the outbox keeps what is not answered: that is no failure.
    const isKept = error.code === 'CLOSED' && this.outbox?.keeps(batch) === true;
    if (!isKept) this.outbox?.settled(batch);
    if (error.code === 'TOPIC_NOT_FOUND' || error.code === 'QUEUE_NOT_FOUND')
      this.routes.get(batch.lane.topic)?.resolveAgain(batch.lane);
    // First: a flush that ends with this batch tells of it.
    if (batch.pushedCount > 0 && !isKept)
      this.pushFailures.add(batch.lane.topic, batch.pushedCount, error);
    batch.fail(error);
  }

  shutOut(error: SluiceError): void {
    this.shut(error);
  }

  status(event: StatusEvent): void {
    this.reach.options.onStatus(event);
  }

  heldBack(lane: ProducerLane): void {
    this.reach.routeIsWrong(lane.topic);
    this.routes.get(lane.topic)?.heldBack(lane);
  }

  /** Bytes counted for a batch that begins with a record of `size` bytes. */
  private bytesFor(size: number): number {
    return this.memory.bytesOf(batchBytesOf(size));
  }

  private opened(): void {
    this.openBatches += 1;
    this.workChanged();
  }

  private release(batch: ProducerBatch): void {
    this.memory.release(batch.bytes, batch.builder);
    this.openBatches -= 1;
    if (batch.lane.building === undefined) this.buildingLanes.delete(batch.lane);
  }

  /** Is it known where messages of this route go, and what comes before them? */
  isReady(route: TopicRoute): boolean {
    return route.isKnown && this.outbox?.isOpening !== true;
  }

  /** Lets waiting messages in, and tells those who watch. */
  private changed(): void {
    if (this.waitingCount > 0) for (const route of this.routes.values()) this.letIn(route);
    this.watchers.tell();
    this.workChanged();
  }

  private letIn(route: TopicRoute): void {
    if (!this.isReady(route)) return;
    for (;;) {
      const entry = route.waiting.peek();
      if (entry === undefined || !(entry.abandoned || entry.place(route))) return;
      route.waiting.shift();
      this.tookWaiting(route, entry);
    }
  }

  private tookWaiting(route: TopicRoute, entry: WaitingMessages): void {
    route.takenCount += 1;
    this.waitingCount -= 1;
    this.memory.waitingBytes -= entry.bytes;
  }

  private workChanged(): void {
    const busy = this.openBatches > 0 || this.waitingCount > 0;
    if (busy === this.isBusy) return;
    this.isBusy = busy;
    if (busy) {
      this.reach.work.begin();
      this.deadlines.start();
    } else {
      this.reach.work.end();
      this.deadlines.stop();
    }
  }
}

/** Bytes of a batch with one record of `size` bytes, with the longest producer id. */
function batchBytesOf(size: number): number {
  return alignUp(size + BATCH_OVERHEAD_BYTES, 8);
}
