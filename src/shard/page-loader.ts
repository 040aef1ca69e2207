/**
 * Brings consume-queue entries of old segments back into memory, through side jobs: one at a time per queue. A segment that
 * cannot be read is tried again by one job alone, at growing intervals; who needs it waits or is told, and nobody passes it.
 */
import type { ConsumeQueue } from '../log/consume-queue.ts';
import type { SideJobResult } from '../log/side-job.ts';
import { chunkBytesOf } from './shard-config.ts';
import type { ShardContext } from './shard-context.ts';
import { queueKey } from './shard-state.ts';
import { type Place, type Unreadable, UnreadableSegments } from './unreadable-segments.ts';

/** Pages in memory over all queues: some 100 KiB each. */
const PAGES_MAX = 128;

export class PageLoader {
  /** Segments that cannot be read now. */
  readonly unreadable: UnreadableSegments;
  private readonly context: ShardContext;
  private readonly onLoaded: (queue: ConsumeQueue) => void;
  private readonly loading = new Set<number>();
  /** Queues that hold pages, the longest unused first. */
  private readonly holders = new Set<ConsumeQueue>();

  /** @param onLoaded - somebody waits for this queue's entries: try again */
  constructor(context: ShardContext, onLoaded: (queue: ConsumeQueue) => void) {
    this.context = context;
    this.onLoaded = onLoaded;
    this.unreadable = new UnreadableSegments(context.config.segmentBytes, context.emit);
  }

  loaderFor(queue: ConsumeQueue): (segment: number, offset: number) => void {
    return (segment, offset) => {
      this.load(queue, segment, offset);
    };
  }

  /** @returns why it cannot be loaded now; undefined: it is on its way. Either way the queue's turn comes by `onLoaded` */
  load(queue: ConsumeQueue, segment: number, offset: number): Unreadable | undefined {
    const known = this.unreadable.get(segment);
    if (known !== undefined) known.waiting.add(queue);
    else if (!this.loading.has(keyOf(queue)))
      this.submit({ queue, segment, offset }, (result) => {
        if (result.error !== undefined) {
          const nowMs = this.context.clock.monotonicMs();
          this.unreadable.failed({ queue, segment, offset }, result.error, nowMs);
        }
        this.onLoaded(queue);
      });
    return known;
  }

  /** Tries unreadable segments again whose time has come, and tells what has changed. */
  onTime(nowMs: number): void {
    for (const trouble of this.unreadable.due(nowMs)) {
      const place = this.placeOf(trouble);
      if (place === undefined) this.end(trouble);
      else if (!this.loading.has(keyOf(place.queue))) this.tryAgain(trouble, place);
    }
    this.unreadable.tell();
  }

  nextTimerMs(): number {
    return this.unreadable.nextTimerMs();
  }

  private tryAgain(trouble: Unreadable, place: Place): void {
    trouble.place = place;
    trouble.retryAtMs = Number.POSITIVE_INFINITY;
    this.submit(place, (result) => {
      if (result.error !== undefined)
        this.unreadable.failed(place, result.error, this.context.clock.monotonicMs());
      else this.end(trouble);
    });
  }

  private end({ place, waiting }: Unreadable): void {
    this.unreadable.end(place.segment);
    for (const queue of waiting) this.onLoaded(queue);
  }

  /** What to try: the page that failed, or another queue's once retention, or the end of a topic, has been faster. */
  private placeOf({ place, waiting }: Unreadable): Place | undefined {
    const { state } = this.context;
    for (const queue of [place.queue, ...waiting]) {
      if (state.queue(queue.topicId, queue.queueId) !== queue) continue;
      const held = queue.sealedSegments().find(({ segment }) => segment === place.segment);
      if (held === undefined) continue;
      return queue === place.queue ? place : { ...place, queue, offset: held.firstOffset };
    }
    return undefined;
  }

  private submit({ queue, segment, offset }: Place, done: (result: SideJobResult) => void): void {
    const { topicId, queueId } = queue;
    this.loading.add(keyOf(queue));
    const { segmentBytes } = this.context.config;
    const shape = { segment, segmentBytes, chunkBytes: chunkBytesOf(this.context.config) };
    const job = { kind: 'load-page', ...shape, topicId, queueId, offset } as const;
    this.context.submit(job, (result) => {
      this.loading.delete(keyOf(queue));
      if (result.numbers !== undefined) {
        queue.addPage({ segment, from: offset, numbers: result.numbers });
        this.hold(queue);
      }
      done(result);
    });
  }

  private hold(queue: ConsumeQueue): void {
    this.holders.delete(queue);
    this.holders.add(queue);
    if (this.holders.size <= PAGES_MAX) return;
    for (const oldest of this.holders) {
      oldest.dropPages();
      this.holders.delete(oldest);
      return;
    }
  }
}

function keyOf({ topicId, queueId }: ConsumeQueue): number {
  return queueKey(topicId, queueId);
}
