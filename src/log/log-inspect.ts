/**
 * Reads a shard's log as it lies there and says what it finds: every batch, every stretch that is none, and which of those
 * is damage. Changes nothing, trusts nothing, goes on after damage; memory does not grow with the log. For tools: blocks.
 * A broker may write meanwhile, so what looks damaged is looked at once more at the end.
 */
import { getU64 } from '../base/bytes.ts';
import { MIB } from '../base/units.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import {
  type GroupPosition,
  type OffsetRange,
  type RetryRange,
  readControl,
} from './control-record.ts';
import {
  CONTROL_CHECK,
  CONTROL_DROP,
  CONTROL_RELEASE,
  type DeferredEntry,
} from './deferred-record.ts';
import { segmentName, segmentOfName } from './file-names.ts';
import type { RotRange } from './recovery.ts';
import type { Storage, StorageFile } from './storage.ts';
import { isStoredHeader, isStoredPayload, STORED_BYTES_MAX } from './stored-header.ts';

/** One record of a control batch. */
export type InspectedRecord =
  | { readonly type: 'metadata'; readonly value: unknown }
  | ({
      readonly type: 'settled';
      readonly groupId: number;
      readonly topicId: number;
      readonly queueId: number;
    } & OffsetRange)
  | ({
      readonly type: 'retry';
      readonly groupId: number;
      readonly topicId: number;
      readonly queueId: number;
    } & RetryRange)
  | ({ readonly type: 'position' } & GroupPosition)
  | ({ readonly type: 'release' | 'drop' | 'check' } & DeferredEntry);

/** A stored batch whose header is right. */
export type InspectedBatch = {
  readonly position: number;
  readonly bytes: number;
  readonly kind: 'data' | 'control' | 'padding' | 'deferred';
  /** Does its payload match the checksum? What stands in the payload is only told when it does. */
  readonly isIntact: boolean;
  readonly epoch: number;
  readonly topicId: number;
  readonly queueId: number;
  /** Of a deferred batch: its due time. */
  readonly baseOffset: number;
  /** A deferred batch: of a transaction, written again elsewhere; data: the copy of a deferred batch. */
  readonly isHalf: boolean;
  readonly isMoved: boolean;
  readonly isReleased: boolean;
  readonly storedAtMs: number;
  /** Flushed position that its writer knew. */
  readonly flushed: number;
  /** Messages in it. */
  readonly recordCount: number;
  readonly bornAtMs: number | undefined;
  readonly producer:
    | { readonly id: string; readonly epoch: number; readonly sequence: number }
    | undefined;
  /** Of a control batch. */
  readonly records: readonly InspectedRecord[];
};

/** What a walk meets, in log order. */
export type InspectedItem =
  | { readonly type: 'batch'; readonly batch: InspectedBatch }
  /** Bytes that are no batch of this place. At the end of the files it is room for what comes. */
  | { readonly type: 'hole'; readonly from: number; readonly to: number }
  /** Segments that are not there: let go by retention, or lost. */
  | { readonly type: 'gap'; readonly from: number; readonly to: number };

/** What a walk says in the end. */
export type LogVerdict = {
  /** End of the last batch. */
  readonly end: number;
  /** Highest flushed position that a batch or the checkpoint names: everything below it must be there. */
  readonly flushed: number;
  /** Flushed and not readable. */
  readonly damage: readonly RotRange[];
  /** Not flushed, and with batches behind it: recovery will end the log where the first of these begins. */
  readonly unconfirmed: readonly RotRange[];
};

export type LogWalkOptions = {
  readonly storage: Storage;
  readonly segmentBytes: number;
  /** Undefined when nobody knows: then a rest of a chunk that holds no header cannot be told from a small hole. */
  readonly chunkBytes: number | undefined;
  /** First position to look at; default: the first segment's. */
  readonly from?: number;
  /** First position not to look at; default: the end of the files. */
  readonly to?: number;
  /** Flushed position that the checkpoint names. */
  readonly flushed: number;
  /** No segment from here on may be missing. */
  readonly completeFrom: number;
};

const KIND_NAMES: Readonly<Record<number, InspectedBatch['kind']>> = {
  [layout.KIND_DATA]: 'data',
  [layout.KIND_CONTROL]: 'control',
  [layout.KIND_PADDING]: 'padding',
  [layout.KIND_DEFERRED]: 'deferred',
};

const DEFERRED_NAMES: Readonly<Record<number, 'release' | 'drop' | 'check'>> = {
  [CONTROL_RELEASE]: 'release',
  [CONTROL_DROP]: 'drop',
  [CONTROL_CHECK]: 'check',
};

const WINDOW_BYTES_MAX: number = 8 * MIB;
const STEP_BYTES = 8;

if (WINDOW_BYTES_MAX < STORED_BYTES_MAX) throw new Error('log-inspect: a window holds a batch');

/** A part of one segment's file in memory, moved along. */
class SegmentWindow {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  private readonly segmentBytes: number;
  private file: StorageFile | undefined;
  private segmentStart = 0;
  private start = 0;
  private end = 0;

  constructor(segmentBytes: number) {
    this.segmentBytes = segmentBytes;
    this.bytes = new Uint8Array(Math.min(WINDOW_BYTES_MAX, segmentBytes));
    this.view = new DataView(this.bytes.buffer);
  }

  /** @returns false when the file is not there (any more) */
  open(storage: Storage, segment: number): boolean {
    this.close();
    const name = segmentName(segment);
    if (!storage.exists(name)) return false;
    this.file = storage.open(name, false);
    this.segmentStart = segment * this.segmentBytes;
    this.start = this.segmentStart;
    this.end = this.segmentStart;
    return true;
  }

  /**
   * Makes the bytes from `position` on readable, as many as asked for or to the end of the segment.
   * @returns where in `bytes` they are
   */
  load(position: number, bytes: number): number {
    const segmentEnd = this.segmentStart + this.segmentBytes;
    const wanted = Math.min(position + bytes, segmentEnd);
    if (position < this.start || wanted > this.end) {
      const length = Math.min(this.bytes.length, segmentEnd - position);
      const target = this.bytes.subarray(0, length);
      const read = this.file?.read(target, position - this.segmentStart) ?? 0;
      target.fill(0, read);
      this.start = position;
      this.end = position + length;
    }
    return position - this.start;
  }

  close(): void {
    this.file?.close();
    this.file = undefined;
  }
}

/** One walk over a log. Use once: `items`, then `verdict`. */
export class LogWalk {
  private readonly options: LogWalkOptions;
  private readonly window: SegmentWindow;
  private readonly chunkBytes: number;
  private readonly reader = new BatchReader();
  private readonly holes: { from: number; to: number }[] = [];
  private readonly gaps: RotRange[] = [];
  /** A stretch without a batch that has not ended yet. */
  private openHole: { from: number; to: number } | undefined;
  private flushed: number;
  private end = 0;
  private filesEnd = 0;

  constructor(options: LogWalkOptions) {
    this.options = options;
    this.window = new SegmentWindow(options.segmentBytes);
    this.chunkBytes = options.chunkBytes ?? options.segmentBytes;
    this.flushed = options.flushed;
  }

  /** Everything from `from` to `to`. Stop asking at any time: the file is closed then. */
  *items(): Generator<InspectedItem, void> {
    const { storage, segmentBytes } = this.options;
    const segments = storage
      .list()
      .map(segmentOfName)
      .filter((segment) => segment !== undefined)
      .sort((left, right) => left - right);
    const complete = Math.floor(this.options.completeFrom / segmentBytes);
    const first = Math.min(segments[0] ?? complete, complete);
    const from = this.options.from ?? first * segmentBytes;
    const to = this.options.to ?? Number.MAX_SAFE_INTEGER;
    let next = Math.floor(from / segmentBytes);
    this.end = from;
    try {
      for (const segment of segments) {
        if (segment < next || segment * segmentBytes >= to) continue;
        if (!this.window.open(storage, segment)) continue;
        if (segment > next) {
          yield* this.endHole();
          const gap = { from: next * segmentBytes, to: segment * segmentBytes };
          this.gaps.push(gap);
          yield { type: 'gap', ...gap };
        }
        const start = segment * segmentBytes;
        yield* this.segment(Math.max(from, start), Math.min(to, start + segmentBytes));
        next = segment + 1;
      }
      yield* this.endHole();
      this.filesEnd = Math.min(to, next * segmentBytes);
    } finally {
      this.window.close();
    }
  }

  /** What is wrong, once all items were seen. */
  verdict(): LogVerdict {
    const { flushed } = this;
    const damage: RotRange[] = [];
    const unconfirmed: RotRange[] = [];
    for (const hole of this.holes) {
      const isBehind = hole.from >= this.end;
      if (hole.from >= flushed && !isBehind) unconfirmed.push(hole);
      if (hole.from >= flushed) continue;
      const range = { from: hole.from, to: isBehind ? Math.min(hole.to, flushed) : hole.to };
      damage.push(...this.lookAgain(range));
    }
    for (const gap of this.gaps) {
      const range = { from: Math.max(gap.from, this.options.completeFrom), to: gap.to };
      if (range.from < range.to) damage.push(range);
    }
    if (this.options.to === undefined && flushed > this.filesEnd)
      damage.push({ from: this.filesEnd, to: flushed });
    return { end: this.end, flushed, damage, unconfirmed };
  }

  /** A broker that is running may have written or let go of a stretch after the walk had passed it. */
  private lookAgain(range: RotRange): RotRange[] {
    const { storage, segmentBytes } = this.options;
    const again = new LogWalk({ ...this.options, ...range });
    let bad = 0;
    for (const item of again.items()) {
      if (item.type === 'hole' || (item.type === 'batch' && !item.batch.isIntact)) bad += 1;
    }
    if (bad === 0) return [];
    const isThere = storage.exists(segmentName(Math.floor(range.from / segmentBytes)));
    return isThere ? [range] : [];
  }

  private *segment(from: number, to: number): Generator<InspectedItem, void> {
    let position = from - (from % STEP_BYTES);
    while (position < to) {
      const chunkLeft = this.chunkBytes - (position % this.chunkBytes);
      if (chunkLeft < layout.STORED_HEADER_BYTES) {
        position += chunkLeft;
        continue;
      }
      const batch = this.batchAt(position, chunkLeft);
      if (batch === undefined) {
        const next = this.nextHeader(position + STEP_BYTES, to);
        if (this.openHole === undefined) this.openHole = { from: position, to: next };
        else this.openHole.to = next;
        position = next;
        continue;
      }
      yield* this.endHole();
      position = batch.position + batch.bytes;
      this.end = position;
      this.flushed = Math.max(this.flushed, batch.flushed);
      if (!batch.isIntact) this.holes.push({ from: batch.position, to: position });
      yield { type: 'batch', batch };
    }
  }

  private *endHole(): Generator<InspectedItem, void> {
    const hole = this.openHole;
    if (hole === undefined) return;
    this.openHole = undefined;
    const isRestOfChunk = hole.to - hole.from < layout.STORED_HEADER_BYTES;
    if (this.options.chunkBytes === undefined && isRestOfChunk) return;
    this.holes.push(hole);
    yield { type: 'hole', ...hole };
  }

  /** The next position that holds a header of its own, or `to`. */
  private nextHeader(from: number, to: number): number {
    let position = from;
    while (position < to) {
      const at = this.window.load(position, STEP_BYTES);
      // As far as this window goes, without asking it for every word.
      const stop = Math.min(to, position + this.window.bytes.length - at);
      for (let place = at; position < stop; position += STEP_BYTES, place += STEP_BYTES) {
        if (this.window.view.getUint32(place, true) !== layout.BATCH_MAGIC) continue;
        const chunkLeft = this.chunkBytes - (position % this.chunkBytes);
        if (this.hasHeader(position, chunkLeft)) return position;
        // The look at it may have moved the window.
        place = this.window.load(position, STEP_BYTES);
      }
    }
    return to;
  }

  private hasHeader(position: number, chunkLeft: number): boolean {
    const at = this.window.load(position, layout.STORED_HEADER_BYTES);
    return isStoredHeader(this.window.bytes, this.window.view, at, position, chunkLeft);
  }

  private batchAt(position: number, chunkLeft: number): InspectedBatch | undefined {
    if (!this.hasHeader(position, chunkLeft)) return undefined;
    const { bytes, view } = this.window;
    let at = this.window.load(position, layout.STORED_HEADER_BYTES);
    const kind = view.getUint16(at + layout.STORED_KIND, true);
    const length = view.getUint32(at + layout.STORED_BYTES, true);
    if (kind !== layout.KIND_PADDING) at = this.window.load(position, length);
    const isIntact = isStoredPayload(bytes, view, at);
    const isData = isIntact && (kind === layout.KIND_DATA || kind === layout.KIND_DEFERRED);
    const batch = isData
      ? this.reader.open(bytes, view, at + layout.STORED_HEADER_BYTES)
      : undefined;
    const producerId = batch?.producerId ?? '';
    return {
      position,
      bytes: length,
      kind: KIND_NAMES[kind] ?? 'padding',
      isIntact,
      epoch: view.getUint32(at + layout.STORED_EPOCH, true),
      topicId: view.getUint32(at + layout.STORED_TOPIC_ID, true),
      queueId: view.getUint16(at + layout.STORED_QUEUE_ID, true),
      baseOffset: getU64(view, at + layout.STORED_BASE_OFFSET),
      ...flagsOf(kind, view.getUint16(at + layout.STORED_FLAGS, true)),
      storedAtMs: getU64(view, at + layout.STORED_AT_MS),
      flushed: getU64(view, at + layout.STORED_FLUSHED),
      recordCount: batch?.recordCount ?? 0,
      bornAtMs: isData
        ? getU64(view, at + layout.STORED_HEADER_BYTES + layout.BATCH_BORN_AT_MS)
        : undefined,
      producer:
        batch === undefined || producerId === ''
          ? undefined
          : { id: producerId, epoch: batch.producerEpoch, sequence: batch.sequence },
      records: isIntact && kind === layout.KIND_CONTROL ? controlRecords(bytes, view, at) : [],
    };
  }
}

function flagsOf(
  kind: number,
  flags: number,
): Pick<InspectedBatch, 'isHalf' | 'isMoved' | 'isReleased'> {
  const isDeferred = kind === layout.KIND_DEFERRED;
  return {
    isHalf: isDeferred && (flags & layout.DEFERRED_FLAG_HALF) !== 0,
    isMoved: isDeferred && (flags & layout.DEFERRED_FLAG_MOVED) !== 0,
    isReleased: kind === layout.KIND_DATA && (flags & layout.STORED_FLAG_RELEASED) !== 0,
  };
}

/** The records of a control batch, as far as they can be read. */
function controlRecords(bytes: Uint8Array, view: DataView, at: number): InspectedRecord[] {
  const records: InspectedRecord[] = [];
  try {
    readControl(bytes, view, at + layout.STORED_HEADER_BYTES, {
      metadata: (value) => records.push({ type: 'metadata', value }),
      settled: (groupId, topicId, queueId, range) =>
        records.push({ type: 'settled', groupId, topicId, queueId, ...range }),
      retry: (groupId, topicId, queueId, range) =>
        records.push({ type: 'retry', groupId, topicId, queueId, ...range }),
      position: (position) => records.push({ type: 'position', ...position }),
      deferred: (type, entry) => {
        const name = DEFERRED_NAMES[type];
        if (name !== undefined) records.push({ type: name, ...entry });
      },
    });
  } catch {
    // The checksum is right, so this version wrote something that it cannot read, or another one did: show the rest.
  }
  return records;
}
