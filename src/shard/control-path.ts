/** The rare requests, as JSON: metadata, subscriptions, status. Answers of those that write wait for their records. */
import type { ErrorCode } from '../base/error-codes.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import type { SideJobResult } from '../log/side-job.ts';
import { readText } from '../protocol/batch/text-bytes.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type {
  GroupQueueStatus,
  MessageLocation,
  SeekResult,
  ShardControlRequest,
  ShardStatus,
  StartPoint,
} from '../protocol/shard-control.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { GroupTable } from './group-table.ts';
import type { LogKeeper } from './log-keeper.ts';
import { chunkBytesOf } from './shard-config.ts';
import type { ShardContext } from './shard-context.ts';
import type { ShardPort } from './shard-port.ts';
import type { MetadataRecord } from './shard-state.ts';
import { Subscription } from './subscription.ts';

/** An answer that waits until this duty cycle's control batch is safe. */
export type ControlReply = {
  readonly port: number;
  readonly session: number;
  readonly correlation: number;
  readonly result: unknown;
};

/** `later`: the result comes by `finish`. `written`: it waits for the log. */
type Answer = { readonly result: unknown } | { readonly written: unknown } | 'later';
/** Sends the answer that was waited for: a result, or the error of the side job that should have found it. */
type Finish = (result: unknown, error?: SideJobResult['error']) => void;
type RequestOf<Op extends ShardControlRequest['op']> = Extract<ShardControlRequest, { op: Op }>;

export class ControlPath {
  private readonly context: ShardContext;
  private readonly groups: GroupTable;
  private readonly deadLetters: DeadLetters;
  private readonly keeper: LogKeeper;
  /** Answers of this duty cycle, to be queued behind its control batch. */
  readonly replies: ControlReply[] = [];
  /** Answers to be sent as soon as the reply ring has room. */
  private unsent: (() => boolean)[] = [];
  /** Set by `drain`: called when nothing is left to do. */
  onDrain: ((done: () => void) => void) | undefined;

  constructor(
    context: ShardContext,
    groups: GroupTable,
    deadLetters: DeadLetters,
    keeper: LogKeeper,
  ) {
    this.context = context;
    this.groups = groups;
    this.deadLetters = deadLetters;
    this.keeper = keeper;
  }

  /** @param at - payload of a REQUEST_CONTROL */
  handle(port: ShardPort, portIndex: number, at: number, length: number): void {
    const { bytes, view } = port.requests;
    const session = view.getUint32(at + envelope.CONTROL_SESSION, true);
    const correlation = view.getUint32(at + envelope.CONTROL_CORRELATION, true);
    const fail = (code: ErrorCode, text: string): void =>
      this.send(() => port.failed(session, correlation, envelope.REQUEST_CONTROL, code, text));
    const finish: Finish = (result, error) => {
      if (error !== undefined) fail(error.code, error.message);
      else this.send(() => port.control(session, correlation, result));
    };
    try {
      const request = JSON.parse(
        readText(bytes, at + envelope.CONTROL_JSON, at + length),
      ) as ShardControlRequest;
      const answer = this.carryOut(request, portIndex, finish);
      if (answer === 'later') return;
      if ('result' in answer) finish(answer.result);
      else this.replies.push({ port: portIndex, session, correlation, result: answer.written });
    } catch (error) {
      const { code, message } = toSluiceError(error);
      fail(code, message);
    }
  }

  /** Sends answers that found the reply ring full. */
  sendUnsent(): void {
    if (this.unsent.length > 0) this.unsent = this.unsent.filter((send) => !send());
  }

  private send(action: () => boolean): void {
    if (!action()) this.unsent.push(action);
  }

  private carryOut(request: ShardControlRequest, portIndex: number, finish: Finish): Answer {
    switch (request.op) {
      case 'putTopic':
        return this.write({ put: 'topic', topic: request.topic });
      case 'deleteTopic':
        return this.deleteTopic(request.topicId);
      case 'putGroup':
        return this.write({ put: 'group', group: request.group });
      case 'deleteGroup':
        this.groups.forget((one) => one.groupId === request.groupId);
        return this.write({ drop: 'group', groupId: request.groupId });
      case 'attach':
        return this.attach(request, portIndex);
      case 'detach':
        this.groups.detach(request.subscription);
        return { written: {} };
      case 'assign':
        this.groups.assign(request.groupId, request.topicId, new Map(request.queues));
        return { result: {} };
      case 'seek':
        return this.seek(request);
      case 'topicStatus':
        return { result: this.topicStatus(request.topicId) };
      case 'groupStatus':
        return { result: { queues: this.groupStatus(request.groupId) } };
      case 'shardStatus':
        return { result: this.shardStatus() };
      case 'redrive':
        this.checkWritable();
        this.deadLetters.redrive(request.groupId, request.max, (redriven) => finish({ redriven }));
        return 'later';
      case 'locate':
        return this.locate(request.position, finish);
      case 'findKey':
        return this.findKey(request, finish);
      case 'drain':
        this.onDrain?.(() => finish({}));
        return 'later';
      case 'replicaState':
      case 'putReplica':
        throw new SluiceError('UNSUPPORTED', 'this broker has no replication');
    }
  }

  private deleteTopic(topicId: number): Answer {
    this.checkWritable();
    this.groups.forget((one) => one.topicId === topicId);
    this.keeper.letGo(this.context.state.queuesOf(topicId));
    return this.write({ drop: 'topic', topicId });
  }

  private write(record: MetadataRecord): Answer {
    this.checkWritable();
    this.keeper.snapshotSoon();
    this.context.state.applyMetadata(record);
    this.context.control.metadata(record);
    return { written: {} };
  }

  private checkWritable(): void {
    const { fenced } = this.context;
    if (fenced !== undefined) throw new SluiceError(fenced.code, fenced.text);
  }

  private attach(request: RequestOf<'attach'>, portIndex: number): Answer {
    const { subscription: id, groupId, topicId, filter, leaseMs, credit } = request;
    for (const queue of this.context.state.queuesOf(topicId)) {
      this.groups.ensurePosition(groupId, queue, () => startOffset(queue, request.from));
    }
    this.groups.attach(
      new Subscription({ id, port: portIndex, groupId, topicId, leaseMs, credit, filter }),
    );
    return { written: {} };
  }

  private seek(request: RequestOf<'seek'>): Answer {
    const queues = this.context.state.queuesOf(request.topicId).map((queue) => {
      const before =
        this.context.state.groupQueue(request.groupId, queue.topicId, queue.queueId)
          ?.settledThrough ?? -1;
      const wanted = startOffset(queue, request.to, before);
      if (!request.dryRun) this.groups.setPosition(request.groupId, queue, wanted);
      return { queueId: queue.queueId, before, after: wanted };
    });
    const result: SeekResult = { queues };
    return request.dryRun ? { result } : { written: result };
  }

  private topicStatus(topicId: number): unknown {
    const queues = this.context.state.queuesOf(topicId).map((queue) => ({
      queueId: queue.queueId,
      minOffset: queue.minOffset,
      maxOffset: queue.visibleEnd,
      lastStoredAtMs: queue.lastStoredAtMs < 0 ? null : queue.lastStoredAtMs,
    }));
    return { queues };
  }

  private groupStatus(groupId: number): GroupQueueStatus[] {
    const { state } = this.context;
    const letters = this.deadLetters.queueOf(groupId);
    const found: GroupQueueStatus[] = [];
    for (const one of state.allGroupQueues()) {
      const queue = state.queue(one.topicId, one.queueId);
      if (one.groupId !== groupId || queue === undefined || queue === letters) continue;
      found.push({
        topicId: one.topicId,
        queueId: one.queueId,
        ackedThrough: one.settledThrough,
        maxOffset: queue.visibleEnd,
        lag: one.lag(queue.visibleEnd),
        inFlight: one.inFlight,
        retrying: one.retries.messages,
        dead: 0,
        owner: one.owner === 0 ? null : one.owner,
      });
    }
    if (letters !== undefined) found.push(this.lettersStatus(groupId, letters));
    return found;
  }

  private lettersStatus(groupId: number, letters: ConsumeQueue): GroupQueueStatus {
    const one = this.context.state.groupQueue(groupId, letters.topicId, letters.queueId);
    const ackedThrough = Math.max(one?.settledThrough ?? 0, letters.minOffset);
    const { topicId, queueId, visibleEnd } = letters;
    const dead = visibleEnd - ackedThrough;
    return {
      topicId,
      queueId,
      ackedThrough,
      maxOffset: visibleEnd,
      lag: 0,
      inFlight: 0,
      retrying: 0,
      dead,
      owner: null,
    };
  }

  private shardStatus(): ShardStatus {
    const { config, log, commit, refusal, fenced } = this.context;
    return {
      shard: config.shard,
      appended: log.appended,
      written: log.written,
      flushed: log.flushed,
      commit,
      logStart: this.keeper.logStart,
      state: fenced !== undefined ? 'fenced' : refusal !== undefined ? 'read-only' : 'running',
      reason: refusal?.text ?? null,
    };
  }

  private locate(value: number, finish: Finish): Answer {
    const { config } = this.context;
    if (value >= this.context.commit) return { result: null };
    const job = {
      kind: 'locate',
      value,
      segmentBytes: config.segmentBytes,
      chunkBytes: chunkBytesOf(config),
    } as const;
    this.context.submit(job, (result) => finish(this.locations(result)[0] ?? null, result.error));
    return 'later';
  }

  private findKey(request: RequestOf<'findKey'>, finish: Finish): Answer {
    const { config, commit } = this.context;
    const indexed = this.keeper.indexEnd / config.segmentBytes;
    const open: number[] = [];
    for (
      let segment = Math.floor(Math.max(0, commit - 1) / config.segmentBytes);
      segment >= indexed;
      segment -= 1
    )
      open.push(segment);
    const job = {
      kind: 'find-key',
      topicId: request.topicId,
      key: request.key,
      max: request.max,
      sealed: this.keeper.sealedSegments(),
      open: commit === 0 ? [] : open,
      committed: commit,
      segmentBytes: config.segmentBytes,
      chunkBytes: chunkBytesOf(config),
    } as const;
    this.context.submit(job, (result) => finish(this.locations(result), result.error));
    return 'later';
  }

  /** What a side job found, as far as it is still kept. Read cold: the window may have moved meanwhile. */
  private locations(result: SideJobResult): MessageLocation[] {
    return (result.found ?? [])
      .filter((found) => {
        const queue = this.context.state.queue(found.topicId, found.queueId);
        return queue !== undefined && found.baseOffset + found.index >= queue.minOffset;
      })
      .map((found) => ({ ...found, cold: true }));
  }
}

/** The offset that a start point means on a queue. */
function startOffset(queue: ConsumeQueue, to: StartPoint, current = -1): number {
  switch (to.kind) {
    case 'earliest':
      return queue.minOffset;
    case 'latest':
      return queue.visibleEnd;
    case 'time':
      return Math.min(queue.offsetAtTime(to.epochMs), queue.visibleEnd);
    case 'offsets': {
      const named = to.offsets[String(queue.queueId)];
      // A queue that is not named stays where it is, also while its end cannot be seen yet.
      if (named === undefined && current >= 0) return current;
      const wanted = named ?? queue.minOffset;
      return Math.min(Math.max(wanted, queue.minOffset), queue.visibleEnd);
    }
  }
}
