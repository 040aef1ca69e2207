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
  private readonly onPageHide = (): void => this.core.sealAll();

  constructor(core: ProducerCore, outbox: Outbox) {
    this.core = core;
    this.outbox = outbox;
  }

  /** Opens the outbox and takes up what is in it. Never rejects: a broken outbox closes the producer. */
  async open(): Promise<void> {
    const { core } = this;
    core.link.work.begin();
    try {
      const state = await this.outbox.open(core.settings.producerId);
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
      core.shut(toSluiceError(error, 'STORAGE_IO'));
    } finally {
      core.link.work.end();
    }
  }

  /** A batch was sealed: it is kept before it is sent, if there is room. */
  sealed(batch: ProducerBatch): void {
    batch.released = false;
    const { bytesMax, policy } = this.outbox;
    const bytes = batch.frame.length;
    if (policy === 'drop-oldest') {
      for (const oldest of [...this.kept.keys()]) {
        if (this.keptBytes + bytes <= bytesMax) break;
        oldest.lane.drop(oldest, full('was dropped from the outbox to make room', bytesMax));
      }
    }
    if (this.keptBytes + bytes > bytesMax) {
      queueMicrotask(() => batch.lane.drop(batch, full('does not fit into the outbox', bytesMax)));
      return;
    }
    this.keptBytes += bytes;
    const put = this.outbox.put(entryOf(batch), topicOf(batch.lane));
    this.kept.set(batch, put);
    this.run(
      put.then(
        (key) => {
          batch.outboxKey = key;
          batch.released = true;
          batch.lane.pump();
        },
        (error: unknown) => batch.lane.drop(batch, toSluiceError(error, 'STORAGE_IO')),
      ),
    );
  }

  /** A batch was acknowledged or refused for good. */
  settled(batch: ProducerBatch): void {
    const put = this.kept.get(batch);
    if (put === undefined) return;
    this.kept.delete(batch);
    this.keptBytes -= batch.frame.length;
    this.run(put.then((key) => this.outbox.remove(key)));
  }

  /** The epoch of a batch has changed. */
  restamped(batch: ProducerBatch): void {
    const put = this.kept.get(batch);
    if (put === undefined) return;
    const entry = entryOf(batch);
    const topic = topicOf(batch.lane);
    this.run(put.then((key) => this.outbox.replace(key, entry, topic)));
  }

  /** The queue of a topic is known now: in doubt the next life must send to the same one. */
  routeReady(route: TopicRoute): void {
    if (this.isOpening) return;
    for (const lane of route.lanes) this.run(this.outbox.putTopic(topicOf(lane)));
  }

  async close(): Promise<void> {
    pageEvents()?.removeEventListener('pagehide', this.onPageHide);
    while (this.running.size > 0) await Promise.all(this.running);
    await this.outbox.close();
  }

  private laneOf(topic: string): ProducerLane {
    return this.core.openRoute(topic).lanes[0] as ProducerLane;
  }

  private restore(entry: StoredOutboxEntry): void {
    const { core } = this;
    const lane = this.laneOf(entry.topic);
    const bytes = entry.frame.length;
    const batch = new ProducerBatch(lane, null, bytes, core.runtime.clock.monotonicMs());
    batch.setFrame(entry.frame);
    batch.sequence = entry.sequence;
    batch.messageCount = entry.messageCount;
    batch.outboxKey = entry.key;
    this.kept.set(batch, Promise.resolve(entry.key));
    this.keptBytes += bytes;
    core.adopt(batch);
    lane.restore(batch);
  }

  /** An operation whose failure only costs the outbox a stale entry: dedup makes a second sending harmless. */
  private run(operation: Promise<unknown>): void {
    const running = operation
      .catch((error: unknown) => {
        const cause = toSluiceError(error, 'STORAGE_IO');
        this.core.status({ type: 'outbox-failed', error: cause });
      })
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
