/**
 * Messages by offset: the shard answers with extents, which become JSON at once where they are in memory; the others are
 * read from their files first. The answer has the messages in the order of their offsets.
 */
import { invariant } from '../base/assert.ts';
import { getU64 } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import type { SluiceError } from '../base/errors.ts';
import { toSluiceError } from '../base/errors.ts';
import { FETCH_BYTES_MAX, SHARD_ANSWER_MS_MAX } from '../base/limits.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import * as layout from '../protocol/envelope-layout.ts';
import { messageIdOf } from '../protocol/message-id.ts';
import type { TopicRecord } from '../protocol/shard-control.ts';
import { viewOf } from '../protocol/web/binary-codec.ts';
import type { FetchCommand } from '../protocol/web/checked-requests.ts';
import { messageFieldsJson } from '../protocol/web/message-codec.ts';
import type { ColdReads } from './cold-reads.ts';
import type { PendingRequests, Waiter } from './pending-requests.ts';
import { busy } from './send-path.ts';
import type { ShardLink } from './shard-link.ts';
import type { ShardLinks } from './shard-links.ts';
import { checkStored, openAt, storedAtMs } from './stored-extent.ts';

/** Messages `first` to `first + count - 1` of one stored batch. */
export type Extent = {
  readonly shard: number;
  readonly position: number;
  readonly batchBytes: number;
  readonly baseOffset: number;
  readonly first: number;
  readonly count: number;
  readonly queueId: number;
};

/** A message as the fields of a JSON object, without braces. */
export type ReadMessage = { readonly fields: string; readonly storedAt: number };

/** Called exactly once, with the fields of a `fetched` answer as JSON text or with the refusal. */
export type FetchDone = (fieldsJson: string | undefined, failure: SluiceError | undefined) => void;

/** What a dialect makes of the messages that a fetch finds. */
export type FetchReader<Part> = {
  /**
   * Reads one extent, as soon as its bytes are there; not in the order of the offsets.
   * @shape `stored` is borrowed until the call returns
   */
  readonly read: (extent: Extent, stored: Uint8Array) => Part;
  /** Called exactly once, with the parts in the order of their offsets. */
  readonly done: (fetched: Fetched<Part>) => void;
  readonly failed: (error: SluiceError) => void;
};

export type Fetched<Part> = {
  readonly parts: readonly Part[];
  readonly nextOffset: number;
  readonly minOffset: number;
  /** One past the last visible message. */
  readonly maxOffset: number;
  /** Were messages read from the disk, because memory does not hold them any more? */
  readonly isCold: boolean;
};

/** Which messages: as in a `fetch` op, and how many bytes of batches. */
export type FetchWish = Omit<FetchCommand, 'topic'> & { readonly bytesMax: number };

export class FetchPath {
  private readonly clock: Clock;
  private readonly links: ShardLinks;
  private readonly pending: PendingRequests;
  private readonly coldReads: ColdReads;
  private readonly messageIdPrefix: () => string;
  private readonly reader = new BatchReader();

  constructor(
    clock: Clock,
    links: ShardLinks,
    pending: PendingRequests,
    coldReads: ColdReads,
    messageIdPrefix: () => string,
  ) {
    this.clock = clock;
    this.links = links;
    this.pending = pending;
    this.coldReads = coldReads;
    this.messageIdPrefix = messageIdPrefix;
  }

  /** @param topic - has the queue */
  fetch(topic: TopicRecord, command: FetchCommand, done: FetchDone): void {
    this.fetchParts(
      topic,
      { ...command, bytesMax: FETCH_BYTES_MAX },
      {
        read: (extent, stored) => this.messages(topic, extent, stored),
        done: ({ parts, nextOffset, minOffset, maxOffset }) => {
          const list = parts.flat().map(({ fields }) => `{${fields}}`);
          const offsets = `"nextOffset":${nextOffset},"minOffset":${minOffset},"maxOffset":${maxOffset}`;
          done(`"messages":[${list.join(',')}],${offsets}`, undefined);
        },
        failed: (error) => done(undefined, error),
      },
    );
  }

  /** The same for any dialect. @param topic - has the queue */
  fetchParts<Part>(topic: TopicRecord, wish: FetchWish, reader: FetchReader<Part>): void {
    const { queueId, waitMs } = wish;
    const link = this.links.ofQueue(topic.topicId, queueId);
    if (!link.isRunning || !link.takesAcks) {
      reader.failed(link.isRunning ? busy(link) : link.refusal());
      return;
    }
    const waiter: Waiter = {
      replied: (type, _bytes, view, at) => {
        invariant(type === layout.REPLY_FETCHED, 'a fetch is answered by FETCHED', type);
        this.fetched(link, queueId, view, at, reader);
      },
      failed: reader.failed,
      isLongPoll: waitMs > 0,
    };
    const deadlineMs = this.clock.monotonicMs() + waitMs + SHARD_ANSWER_MS_MAX;
    link.fetch({
      correlation: this.pending.add(link.shard, waiter, deadlineMs),
      topicId: topic.topicId,
      queueId,
      offset: wish.offset,
      messagesMax: wish.max,
      bytesMax: wish.bytesMax,
      waitMs,
    });
  }

  /** The messages of an extent, read from their file. @throws RECORD_CORRUPT, STORAGE_IO */
  readMessages(topic: TopicRecord, extent: Extent): Promise<readonly ReadMessage[]> {
    return this.readExtent(extent, (_, stored) => this.messages(topic, extent, stored));
  }

  /** An extent, read from its file, as what `read` makes of it. @throws RECORD_CORRUPT, STORAGE_IO */
  async readExtent<Part>(
    extent: Extent,
    read: (extent: Extent, stored: Uint8Array) => Part,
  ): Promise<Part> {
    const { shard, position, batchBytes } = extent;
    const stored = await this.coldReads.read(shard, position, batchBytes);
    checkStored(stored, position, batchBytes);
    return read(extent, stored);
  }

  private fetched<Part>(
    link: ShardLink,
    queueId: number,
    view: DataView,
    at: number,
    reader: FetchReader<Part>,
  ): void {
    const offsets = {
      nextOffset: getU64(view, at + layout.FETCHED_NEXT_OFFSET),
      minOffset: getU64(view, at + layout.FETCHED_MIN_OFFSET),
      maxOffset: getU64(view, at + layout.FETCHED_MAX_OFFSET),
    };
    const extentCount = view.getUint32(at + layout.FETCHED_EXTENT_COUNT, true);
    const parts: (Part | Promise<Part>)[] = [];
    let isHot = true;
    for (let index = 0; index < extentCount; index += 1) {
      const extentAt = at + layout.FETCHED_EXTENTS + index * layout.EXTENT_BYTES;
      const extent = extentAtOf(link.shard, queueId, view, extentAt);
      const flags = view.getUint32(extentAt + layout.EXTENT_FLAGS, true);
      const stored =
        (flags & layout.EXTENT_COLD) !== 0
          ? undefined
          : link.port.tailView(extent.position, extent.batchBytes);
      if (stored === undefined) isHot = false;
      parts.push(
        stored === undefined ? this.readExtent(extent, reader.read) : reader.read(extent, stored),
      );
    }
    if (isHot) reader.done({ parts: parts as Part[], ...offsets, isCold: false });
    else
      Promise.all(parts).then(
        (read) => reader.done({ parts: read, ...offsets, isCold: true }),
        (error: unknown) => reader.failed(toSluiceError(error, 'STORAGE_IO')),
      );
  }

  private messages(topic: TopicRecord, extent: Extent, stored: Uint8Array): readonly ReadMessage[] {
    const view = viewOf(stored);
    const storedAt = storedAtMs(view);
    const messages: ReadMessage[] = [];
    openAt(this.reader, stored, view, extent.first);
    while (messages.length < extent.count && this.reader.next()) {
      const { index } = this.reader;
      const place = {
        topic: topic.topic,
        queueId: extent.queueId,
        queueOffset: extent.baseOffset + index,
        messageId: messageIdOf(this.messageIdPrefix(), extent.shard, extent.position, index),
        storedAt,
      };
      messages.push({ fields: messageFieldsJson(place, this.reader), storedAt });
    }
    return messages;
  }
}

function extentAtOf(shard: number, queueId: number, view: DataView, at: number): Extent {
  return {
    shard,
    queueId,
    position: getU64(view, at + layout.EXTENT_POSITION),
    baseOffset: getU64(view, at + layout.EXTENT_BASE_OFFSET),
    batchBytes: view.getUint32(at + layout.EXTENT_BATCH_BYTES, true),
    first: view.getUint32(at + layout.EXTENT_FIRST_INDEX, true),
    count: view.getUint32(at + layout.EXTENT_COUNT, true),
  };
}
