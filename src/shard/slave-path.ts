/**
 * What replication brings is appended as it is, and the state follows from it by the same calls as in recovery. Whole batches,
 * padding and the rest of a chunk keep their bytes and their places, so that the log stays a prefix of the master's. Shard
 * thread; the bytes were checked by replication.
 */
import { invariant } from '../base/assert.ts';
import { getU64 } from '../base/bytes.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { MetadataChange } from '../protocol/shard-control.ts';
import type { LogKeeper } from './log-keeper.ts';
import { PENDING_SILENT, type ShardContext } from './shard-context.ts';
import type { ShardPort } from './shard-port.ts';
import type { MetadataRecord } from './shard-state.ts';

/** Bytes of the smallest data batch: how many of them a run may hold. */
const BATCH_BYTES_MIN: number =
  layout.STORED_HEADER_BYTES + layout.BATCH_HEADER_BYTES + layout.RECORD_HEADER_BYTES;

export class SlavePath {
  private readonly context: ShardContext;
  private readonly keeper: LogKeeper;
  /** What the acceptor has to be told of topics and groups, as far as its ring was full. */
  private changes: MetadataChange[] = [];

  constructor(context: ShardContext, keeper: LogKeeper) {
    this.context = context;
    this.keeper = keeper;
    context.state.onReplay = (record) => this.onReplay(record);
  }

  /**
   * @param at - payload of a REQUEST_REPLICATE
   * @returns false when there is no room now
   */
  append(port: ShardPort, at: number, length: number): boolean {
    const { log, pending, fenced } = this.context;
    // What a fenced shard holds stays as it is: replication hears nothing of it and waits.
    if (fenced !== undefined) return true;
    const { bytes, view } = port.requests;
    const position = getU64(view, at + envelope.REPLICATE_POSITION);
    const runBytes = length - envelope.REPLICATE_RUN;
    invariant(position === log.appended, 'a run follows the log', position, log.appended);
    if (pending.room < Math.ceil(runBytes / BATCH_BYTES_MIN)) return false;
    if (log.noRoomForRun(runBytes) !== undefined) return false;
    const run = at + envelope.REPLICATE_RUN;
    log.appendRun(bytes, run, runBytes);
    this.derive(bytes, view, run, runBytes, position);
    return true;
  }

  /** Tells the acceptor what has changed. @returns changes told */
  tellChanges(): number {
    let told = 0;
    for (const change of this.changes) {
      if (this.context.ports[0]?.event({ event: 'metadata', change }) === false) break;
      told += 1;
    }
    if (told > 0) this.changes = this.changes.slice(told);
    return told;
  }

  private derive(
    bytes: Uint8Array,
    view: DataView,
    run: number,
    runBytes: number,
    position: number,
  ): void {
    const { state, clock, log } = this.context;
    const nowMs = clock.monotonicMs();
    const epochNowMs = clock.epochMs();
    let at = run;
    // What is left behind the last header is the rest of a chunk, in which none has room.
    while (run + runBytes - at >= layout.STORED_HEADER_BYTES) {
      const here = position + (at - run);
      const kind = view.getUint16(at + layout.STORED_KIND, true);
      log.lastHeaderAt = here;
      state.noteEpoch(view.getUint32(at + layout.STORED_EPOCH, true), here);
      if (kind === layout.KIND_DATA) {
        const queue = state.addBatch(bytes, view, at, here, true);
        if (queue !== undefined) this.showLater(queue, here + view.getUint32(at + 8, true));
      } else if (kind === layout.KIND_DEFERRED) state.addDeferred(bytes, view, at, here);
      else if (kind === layout.KIND_CONTROL) state.addControl(bytes, view, at, nowMs, epochNowMs);
      at += view.getUint32(at + layout.STORED_BYTES, true);
    }
  }

  /** Visible once the commit position has passed the batch. */
  private showLater(queue: ConsumeQueue, end: number): void {
    const reply = this.context.pending.push(end);
    reply.kind = PENDING_SILENT;
    reply.subject = queue;
    reply.baseOffset = queue.endOffset;
    reply.count = 0;
  }

  private onReplay(record: MetadataRecord): void {
    const { state } = this.context;
    if ('put' in record) {
      if (record.put !== 'topic' && record.put !== 'group') return;
    } else if (record.drop === 'topic') this.keeper.letGo(state.queuesOf(record.topicId));
    this.keeper.snapshotSoon();
    this.changes.push(record);
  }
}
