/** Messages of a stored batch as RocketMQ's clients read them: all of an extent, or those that pass a filter. Main thread. */
import type { Extent } from '../acceptor/fetch-path.ts';
import { openAt, storedAtMs } from '../acceptor/stored-extent.ts';
import { crc32 } from '../base/crc32-native.ts';
import { KIB } from '../base/units.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { FrameSpace } from '../protocol/remoting/frame-space.ts';
import type { HostBytes } from '../protocol/remoting/host-bytes.ts';
import { MessageWriter } from '../protocol/remoting/message-writer.ts';

/** Does the reader's current record pass? */
export type RecordFilter = (record: BatchReader) => boolean;

/** The messages of one extent. */
export type WrittenExtent = {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** Of the batch. */
  readonly storedAtMs: number;
};

/** Pulls of a busy consumer are a few messages of a few hundred bytes each. */
const PIECE_BYTES: number = 64 * KIB;

const encoder = new TextEncoder();

export class StoredMessages {
  private readonly storeHost: HostBytes;
  private readonly reader = new BatchReader();
  private readonly writer = new MessageWriter(crc32);
  /** Memory of its own for each message would be more work for the collector than all of the rest. */
  private readonly space = new FrameSpace(PIECE_BYTES);
  private lastTopic = '';
  private topicBytes: Uint8Array = new Uint8Array(0);

  constructor(storeHost: HostBytes) {
    this.storeHost = storeHost;
  }

  /** @param filter - undefined: all pass */
  write(
    topic: string,
    extent: Extent,
    stored: Uint8Array,
    filter: RecordFilter | undefined,
  ): WrittenExtent {
    const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
    const { shard, position, baseOffset, queueId, first } = extent;
    const place = {
      topic: this.topicInBytes(topic),
      queueId,
      shard,
      position,
      baseOffset,
      storedAtMs: storedAtMs(view),
      storeHost: this.storeHost,
    };
    const { reader, writer } = this;
    openAt(reader, stored, view, first);
    writer.reset();
    let count = 0;
    for (let index = 0; index < extent.count && reader.next(); index += 1) {
      if (filter !== undefined && !filter(reader)) continue;
      writer.write(place, reader);
      count += 1;
    }
    return { bytes: writer.take(this.space), count, storedAtMs: place.storedAtMs };
  }

  private topicInBytes(topic: string): Uint8Array {
    if (topic !== this.lastTopic) {
      this.lastTopic = topic;
      this.topicBytes = encoder.encode(topic);
    }
    return this.topicBytes;
  }
}

/** All of them, one behind the other: as they lie in one piece of memory, which those of one turn do, or as a copy. */
export function joined(extents: readonly WrittenExtent[]): Uint8Array {
  const [first] = extents;
  if (first === undefined) return new Uint8Array(0);
  const { buffer, byteOffset: start } = first.bytes;
  let end = start;
  for (const { bytes } of extents) {
    if (bytes.buffer !== buffer || bytes.byteOffset !== end) return copied(extents);
    end += bytes.length;
  }
  return new Uint8Array(buffer, start, end - start);
}

function copied(extents: readonly WrittenExtent[]): Uint8Array {
  const bytes = new Uint8Array(extents.reduce((sum, one) => sum + one.bytes.length, 0));
  let at = 0;
  for (const one of extents) {
    bytes.set(one.bytes, at);
    at += one.bytes.length;
  }
  return bytes;
}
