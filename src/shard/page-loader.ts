/** Brings consume-queue entries of old segments back into memory, through side jobs: one at a time per queue. */
import type { ConsumeQueue } from '../log/consume-queue.ts';
import { chunkBytesOf } from './shard-config.ts';
import type { ShardContext } from './shard-context.ts';
import { queueKey } from './shard-state.ts';

/** Pages in memory over all queues: some 100 KiB each. */
const PAGES_MAX = 128;

export class PageLoader {
  private readonly context: ShardContext;
  private readonly onLoaded: (queue: ConsumeQueue) => void;
  private readonly loading = new Set<number>();
  /** Queues that hold pages, the longest unused first. */
  private readonly holders = new Set<ConsumeQueue>();

  /** @param onLoaded - somebody waits for this queue's entries: try again */
  constructor(context: ShardContext, onLoaded: (queue: ConsumeQueue) => void) {
    this.context = context;
    this.onLoaded = onLoaded;
  }

  loaderFor(queue: ConsumeQueue): (segment: number, offset: number) => void {
    return (segment, offset) => this.load(queue, segment, offset);
  }

  private load(queue: ConsumeQueue, segment: number, offset: number): void {
    const key = queueKey(queue.topicId, queue.queueId);
    if (this.loading.has(key)) return;
    this.loading.add(key);
    const { segmentBytes } = this.context.config;
    const shape = { segment, segmentBytes, chunkBytes: chunkBytesOf(this.context.config) };
    const job = {
      kind: 'load-page',
      ...shape,
      topicId: queue.topicId,
      queueId: queue.queueId,
      offset,
    } as const;
    this.context.submit(job, (result) => {
      this.loading.delete(key);
      if (result.numbers !== undefined) {
        queue.addPage({ segment, from: offset, numbers: result.numbers });
        this.hold(queue);
      }
      this.onLoaded(queue);
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
