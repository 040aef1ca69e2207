/** The rare requests, as JSON: metadata, subscriptions, status. Answers of those that write wait for their records. */
import type { ErrorCode } from '../base/error-codes.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import type { SideJob, SideJobResult } from '../log/side-job.ts';
import { readText } from '../protocol/batch/text-bytes.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type {
  MessageLocation,
  SeekResult,
  ShardControlRequest,
  TopicAt,
} from '../protocol/shard-control.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { DeferredPath } from './deferred-path.ts';
import { DeferredQueries } from './deferred-queries.ts';
import type { GroupTable } from './group-table.ts';
import { HalfMessages } from './half-messages.ts';
import type { LogKeeper } from './log-keeper.ts';
import { carryOutOfMembers } from './member-requests.ts';
import { chunkBytesOf } from './shard-config.ts';
import type { ShardContext } from './shard-context.ts';
import type { ShardPort } from './shard-port.ts';
import type { MetadataRecord } from './shard-state.ts';
import {
  groupStatus,
  offsetAtTime,
  shardStatus,
  startOffset,
  topicStatus,
} from './shard-status.ts';
import { Subscription } from './subscription.ts';
import type { UnreadableSegments } from './unreadable-segments.ts';

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
export type Finish = (result: unknown, error?: SideJobResult['error']) => void;
type RequestOf<Op extends ShardControlRequest['op']> = Extract<ShardControlRequest, { op: Op }>;
type DeferredRequest = RequestOf<'listDelayed' | 'cancelDelayed' | 'endTransaction' | 'listHalf'>;
/** What has to read the log, or to wait for it. */
type LaterRequest =
  | RequestOf<'redrive' | 'locate' | 'topicAt' | 'findKey' | 'drain'>
  | DeferredRequest;

export class ControlPath {
  private readonly context: ShardContext;
  private readonly groups: GroupTable;
  private readonly deadLetters: DeadLetters;
  private readonly keeper: LogKeeper;
  private readonly unreadable: UnreadableSegments;
  private readonly queries: DeferredQueries;
  private readonly halves: HalfMessages;
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
    deferred: DeferredPath,
    unreadable: UnreadableSegments,
  ) {
    this.unreadable = unreadable;
    this.context = context;
    this.groups = groups;
    this.deadLetters = deadLetters;
    this.keeper = keeper;
    this.queries = new DeferredQueries(context, (topicId, key, finish) =>
      this.findKey({ op: 'findKey', topicId, key, max: 1 }, finish, context.log.written),
    );
    this.halves = new HalfMessages(context, deferred, this.queries);
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
      const written = (result: unknown): void => {
        this.replies.push({ port: portIndex, session, correlation, result });
      };
      const answer = this.carryOut(request, portIndex, finish, written);
      if (answer === 'later') return;
      if ('result' in answer) finish(answer.result);
      else written(answer.written);
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

  private carryOut(
    request: ShardControlRequest,
    portIndex: number,
    finish: Finish,
    written: (result: unknown) => void,
  ): Answer {
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
      case 'commitOffsets':
      case 'groupOffset':
      case 'lockQueues':
      case 'unlockQueues':
        return carryOutOfMembers(this.context, this.groups, request);
      case 'topicStatus':
        return { result: topicStatus(this.context, request.topicId) };
      case 'offsetAtTime':
        return { result: offsetAtTime(this.context, request) };
      case 'groupStatus':
        return { result: { queues: groupStatus(this.context, this.deadLetters, request.groupId) } };
      case 'shardStatus':
        return { result: shardStatus(this.context, this.keeper.logStart, this.unreadable) };
      case 'replicaState':
      case 'putReplica':
      case 'settledPage':
      case 'settledLogged':
      case 'takeSettled':
      case 'slavesHeard':
        throw new SluiceError('UNSUPPORTED', 'this broker has no replication');
      case 'redrive':
      case 'locate':
      case 'topicAt':
      case 'findKey':
      case 'listDelayed':
      case 'cancelDelayed':
      case 'endTransaction':
      case 'listHalf':
      case 'drain':
        return this.carryOutLater(request, finish, written);
    }
  }

  private carryOutLater(
    request: LaterRequest,
    finish: Finish,
    written: (result: unknown) => void,
  ): Answer {
    switch (request.op) {
      case 'redrive':
        this.checkWritable();
        this.deadLetters.redrive(request.groupId, request.max, (redriven) => written({ redriven }));
        return 'later';
      case 'locate':
        return this.locate(request.position, finish);
      case 'topicAt':
        return this.topicAt(request.place, finish);
      case 'findKey':
        return this.findKey(request, finish);
      case 'listDelayed':
      case 'cancelDelayed':
      case 'endTransaction':
      case 'listHalf':
        this.carryOutDeferred(request, finish, written);
        return 'later';
      case 'drain':
        this.onDrain?.(() => finish({}));
        return 'later';
    }
  }

  /** Requests about messages that cannot be seen yet. */
  private carryOutDeferred(
    request: DeferredRequest,
    finish: Finish,
    written: (result: unknown) => void,
  ): void {
    switch (request.op) {
      case 'listDelayed':
        this.queries.list(request, finish);
        return;
      case 'listHalf':
        this.halves.list(request, finish);
        return;
      case 'cancelDelayed':
        this.checkWritable();
        this.queries.cancel(request, finish, written);
        return;
      case 'endTransaction':
        this.checkWritable();
        this.halves.end(request, finish, written);
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
    const isOrdered = request.ordered === true;
    for (const queue of this.context.state.queuesOf(topicId)) {
      this.groups.ensurePosition(groupId, queue, () => startOffset(queue, request.from));
    }
    this.groups.attach(
      new Subscription({
        ...{ id, port: portIndex, groupId, topicId, leaseMs, credit, filter, isOrdered },
      }),
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

  private locate(value: number, finish: Finish): Answer {
    if (value >= this.context.commit) return { result: null };
    this.context.submit(this.locateJob(value), (result) =>
      finish(this.locations(result)[0] ?? null, result.error),
    );
    return 'later';
  }

  /** What waits may have left the place where it was first stored, and is known by it all the same. */
  private topicAt(place: number, finish: Finish): Answer {
    const { table } = this.context.state.deferred;
    const origin = table.originOf(place);
    if (origin !== undefined)
      return { result: { topicId: table.get(table.rowOf(origin)).topicId } satisfies TopicAt };
    if (place >= this.context.commit) return { result: { topicId: null } satisfies TopicAt };
    this.context.submit(this.locateJob(place), ({ found, error }) =>
      finish({ topicId: found?.[0]?.topicId ?? null } satisfies TopicAt, error),
    );
    return 'later';
  }

  private locateJob(value: number): Omit<Extract<SideJob, { kind: 'locate' }>, 'job'> {
    const { config } = this.context;
    const { segmentBytes } = config;
    return { kind: 'locate', value, segmentBytes, chunkBytes: chunkBytesOf(config) };
  }

  /** @param end - where the search ends: what is confirmed, or more for an answer that waits for that */
  private findKey(
    request: RequestOf<'findKey'>,
    finish: Finish,
    end: number = this.context.commit,
  ): Answer {
    const { config, state } = this.context;
    const holding = new Set(
      state
        .queuesOf(request.topicId)
        .flatMap((queue) => queue.sealedSegments().map(({ segment }) => segment)),
    );
    const indexed = this.keeper.indexEnd / config.segmentBytes;
    const open: number[] = [];
    for (
      let segment = Math.floor(Math.max(0, end - 1) / config.segmentBytes);
      segment >= indexed;
      segment -= 1
    )
      open.push(segment);
    const job = {
      kind: 'find-key',
      topicId: request.topicId,
      key: request.key,
      max: request.max,
      sealed: this.keeper.sealedSegments().filter((segment) => holding.has(segment)),
      open: end === 0 ? [] : open,
      committed: end,
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
        if (found.isDeferred) return false;
        const queue = this.context.state.queue(found.topicId, found.queueId);
        return queue !== undefined && found.baseOffset + found.index >= queue.minOffset;
      })
      .map((found) => ({ ...found, cold: true }));
  }
}
