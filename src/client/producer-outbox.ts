/**
 * Between a producer and its outbox: every sealed batch is put there before it is sent, and taken out when it is
 * answered; what an earlier life of the page left is sent first. Browser-safe.
 */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import type { Outbox, OutboxEntry, OutboxTopic, StoredOutboxEntry } from './outbox.ts';
import { ProducerBatch } from './producer-batch.ts';
import type { ProducerCore } from './producer-core.ts';
import type { ProducerLane } from './producer-lane.ts';
import type { TopicRoute } from './topic-route.ts';

/** Milliseconds that a storage may take for its last writes when the producer closes; what it forgets is sent again. */
const CLOSE_TIMEOUT_MS = 2000;

export class ProducerOutbox {
  /** Nothing may be batched before it is known what comes first. */
  isOpening = true;
  private readonly core: ProducerCore;
  private readonly outbox: Outbox;
  /** Batches kept, oldest first, and the put that is under way or done. */
  private readonly kept = new Map<ProducerBatch, Promise<number>>();
  private keptBytes = 0;
  /** Operations under way; `close` waits for them. */
  private readonly running = new Set<Promise<unknown>>();
  private closing: Promise<void> | undefined;
  private readonly onPageHide = (): void => this.core.sealAll();

  constructor(core: ProducerCore, outbox: Outbox) {
    this.core = core;
    this.outbox = outbox;
  }

  /** Opens the outbox and takes up what is in it. Never rejects: a broken outbox closes the producer. */
  async open(): Promise<void> {
    const { core } = this;
    core.reach.work.begin();
    try {
      const state = await this.outbox.open(core.settings.producerId);
      // Closed meanwhile: what is kept stays for the next life.
      if (core.isShut) return;
      core.settings.producerId = state.producerId;
      for (const topic of state.topics) {
        const lane = this.laneOf(topic.topic);
        lane.epoch = topic.epoch;
        lane.nextSequence = topic.nextSequence;
        lane.queueId = topic.queueId;
      }
      for (const entry of state.entries) this.restore(entry);
      this.isOpening = false;
      pageEvents()?.addEventListener('pagehide', this.onPageHide);
      core.resolveRoutes();
      core.progress();
    } catch (error) {
      this.isOpening = false;
      const cause = toSluiceError(error, 'STORAGE_IO');
      this.failed(cause);
      core.shut(cause);
    } finally {
      core.reach.work.end();
    }
  }

  /** A batch was sealed: it is kept before it is sent, if there is room. */
  sealed(batch: ProducerBatch): void {
    batch.released = false;
    this.core.shrink(batch);
    const { bytesMax, policy } = this.outbox;
    const bytes = batch.frame.length;
    if (policy === 'drop-oldest' && bytes <= bytesMax) {
      for (const oldest of this.kept.keys()) {
        if (this.keptBytes + bytes <= bytesMax) break;
        this.drop(oldest, full('was dropped from the outbox to make room', bytesMax));
      }
    }
    if (this.keptBytes + bytes > bytesMax) {
      queueMicrotask(() => this.drop(batch, full('does not fit into the outbox', bytesMax)));
      return;
    }
    this.keptBytes += bytes;
    const put = this.outbox.put(entryOf(batch), topicOf(batch.lane));
    this.kept.set(batch, put);
    this.run(
      put.then(
        () => {
          batch.released = true;
          batch.lane.pump();
        },
        (error: unknown) => this.drop(batch, toSluiceError(error, 'STORAGE_IO')),
      ),
    );
  }

  /** Is it in the outbox, or on its way there? */
  keeps(batch: ProducerBatch): boolean {
    return this.kept.has(batch);
  }

  /** A batch was acknowledged or refused for good. */
  settled(batch: ProducerBatch): void {
    const put = this.kept.get(batch);
    if (put === undefined) return;
    this.kept.delete(batch);
    this.keptBytes -= batch.frame.length;
    // A put that failed has been told of, and left nothing to remove.
    const remove = (key: number): Promise<void> => this.outbox.remove(key);
    this.run(put.then(remove, () => {}));
  }

  /** The epoch of a batch has changed. */
  restamped(batch: ProducerBatch): void {
    const put = this.kept.get(batch);
    if (put === undefined) return;
    const entry = entryOf(batch);
    const topic = topicOf(batch.lane);
    const replace = (key: number): Promise<void> => this.outbox.replace(key, entry, topic);
    this.run(put.then(replace, () => {}));
  }

  /** The queue of a topic is known now: in doubt the next life must send to the same one. */
  routeReady(route: TopicRoute): void {
    if (this.isOpening) return;
    for (const lane of route.lanes) this.run(this.outbox.putTopic(topicOf(lane)));
  }

  /** Waits for the writes under way, but not for ever, and closes the outbox. Never rejects. */
  close(): Promise<void> {
    this.closing ??= this.closeNow();
    return this.closing;
  }

  private async closeNow(): Promise<void> {
    pageEvents()?.removeEventListener('pagehide', this.onPageHide);
    let isLate = false;
    let cancel = (): void => {};
    const lateness = new Promise<void>((resolve) => {
      cancel = this.core.runtime.startTimer(CLOSE_TIMEOUT_MS, () => {
        isLate = true;
        resolve();
      });
    });
    while (this.running.size > 0 && !isLate)
      await Promise.race([Promise.all(this.running), lateness]);
    cancel();
    try {
      await this.outbox.close();
    } catch (error) {
      this.failed(toSluiceError(error, 'STORAGE_IO'));
    }
  }

  /** Gives a batch up for a fault of the outbox: its senders are told, and those who watch the status. */
  private drop(batch: ProducerBatch, error: SluiceError): void {
    this.failed(error);
    batch.lane.drop(batch, error);
    // Memory is free that others may wait for. Later: this may be in the middle of a message's way into a batch.
    queueMicrotask(() => this.core.progress());
  }

  private failed(error: SluiceError): void {
    this.core.status({ type: 'outbox-failed', error });
  }

  private laneOf(topic: string): ProducerLane {
    return this.core.openRoute(topic).lanes[0] as ProducerLane;
  }

  private restore(entry: StoredOutboxEntry): void {
    const { core } = this;
    const lane = this.laneOf(entry.topic);
    const bytes = entry.frame.length;
    const batch = new ProducerBatch(lane, null, bytes, core.runtime.clock.monotonicMs());
    batch.restore(entry.frame);
    batch.sequence = entry.sequence;
    batch.messageCount = entry.messageCount;
    this.kept.set(batch, Promise.resolve(entry.key));
    this.keptBytes += bytes;
    core.adopt(batch);
    lane.restore(batch);
  }

  /** An operation whose failure only costs the outbox a stale entry: dedup makes a second sending harmless. */
  private run(operation: Promise<unknown>): void {
    const running = operation
      .catch((error: unknown) => this.failed(toSluiceError(error, 'STORAGE_IO')))
      .finally(() => this.running.delete(running));
    this.running.add(running);
  }
}

function entryOf(batch: ProducerBatch): OutboxEntry {
  const { frame, sequence, messageCount, lane } = batch;
  return { topic: lane.topic, frame, sequence, messageCount };
}

function topicOf(lane: ProducerLane): OutboxTopic {
  const { topic, epoch, nextSequence, queueId } = lane;
  return { topic, epoch, nextSequence, queueId };
}

function full(what: string, bytesMax: number): SluiceError {
  return new SluiceError('STORAGE_FULL', `the message ${what}; it keeps ${bytesMax} bytes`, {
    hint: 'Raise bytesMax of the outbox, or send less while there is no connection.',
  });
}

/** Where a page tells that it is going away; undefined outside of pages. */
function pageEvents(): Pick<EventTarget, 'addEventListener' | 'removeEventListener'> | undefined {
  const page = globalThis as Partial<EventTarget>;
  return page.addEventListener === undefined || page.removeEventListener === undefined
    ? undefined
    : (page as EventTarget);
}
