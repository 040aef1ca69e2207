/**
 * One shard's duty cycle: requests in, one control batch, positions, answers out, deliveries, time. Synchronous and
 * deterministic: clock, log memory, rings and side jobs are injected, and nothing here blocks.
 */
import type { ErrorCode } from '../base/error-codes.ts';
import { KIB } from '../base/units.ts';
import { boundedCommit, safePosition } from '../commit/commit-policy.ts';
import type { SmallWriter } from '../commit/log-writer.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import { ControlPath } from './control-path.ts';
import { DeadLetters } from './dead-letters.ts';
import { type DeferredMeter, DeferredPath } from './deferred-path.ts';
import { DeliverPath } from './deliver-path.ts';
import { FetchPath } from './fetch-path.ts';
import { GroupTable } from './group-table.ts';
import type { JobQueue } from './job-queue.ts';
import { LogKeeper } from './log-keeper.ts';
import { MessageCopier } from './message-copier.ts';
import { PageLoader } from './page-loader.ts';
import { ProducePath } from './produce-path.ts';
import { type ReplySender, releaseReplies } from './release-replies.ts';
import { type HeldQueue, ReplicaSide } from './replica-side.ts';
import { SettlePath } from './settle-path.ts';
import {
  type ControlResult,
  PENDING_CONTROL,
  PENDING_SETTLED,
  type ShardContext,
} from './shard-context.ts';
import type { ShardPort } from './shard-port.ts';
import { VolumeKeeper } from './volume-keeper.ts';

/** Requests taken from one ring in one duty cycle. */
const REQUESTS_PER_CYCLE = 512;
/** Milliseconds between two looks at leases, retries and segments. */
const TIMER_INTERVAL_MS = 2;
/** No more requests are read while this much waits to be logged: the log has no room. */
const CONTROL_BACKLOG_BYTES: number = 512 * KIB;

export class ShardAgent {
  readonly context: ShardContext;
  readonly keeper: LogKeeper;
  readonly groups: GroupTable;
  readonly copier: MessageCopier;
  private readonly jobs: JobQueue;
  private readonly volume: VolumeKeeper;
  private readonly produce: ProducePath;
  private readonly settle: SettlePath;
  private readonly deferred: DeferredPath;
  private readonly deliver: DeliverPath;
  private readonly fetch: FetchPath;
  private readonly control: ControlPath;
  private readonly pages: PageLoader;
  private readonly deadLetters: DeadLetters;
  private readonly replica: ReplicaSide | undefined;
  private readonly wakeFlusher: () => void;
  private readonly smallWriter: SmallWriter;
  private readonly sender: ReplySender;
  private timerAtMs: number = Number.NEGATIVE_INFINITY;
  private draining: (() => void)[] = [];
  private publishedAppended = -1;
  /** A request waits for room in the log. */
  private isBlocked = false;

  constructor(
    context: ShardContext,
    jobs: JobQueue,
    from: {
      indexEnd: number;
      snapshotPosition: number;
      segments: readonly number[];
      released: readonly number[];
      epoch: number;
      logId: string | undefined;
      held: readonly HeldQueue[];
      meter: DeferredMeter;
    },
    wakeFlusher: () => void,
    smallWriter: SmallWriter,
  ) {
    this.context = context;
    this.jobs = jobs;
    this.wakeFlusher = wakeFlusher;
    this.smallWriter = smallWriter;
    this.volume = new VolumeKeeper(context);
    this.deferred = new DeferredPath(context, from.meter);
    this.keeper = new LogKeeper(context, this.volume, this.deferred, from);
    this.groups = new GroupTable(context);
    const pages = new PageLoader(context, (queue) => this.wake(queue));
    this.pages = pages;
    this.copier = new MessageCopier(context, pages);
    this.deadLetters = new DeadLetters(context, this.groups, this.copier);
    this.produce = new ProducePath(context);
    this.settle = new SettlePath(context, this.groups);
    this.deliver = new DeliverPath(context, this.groups, this.deadLetters, pages);
    this.fetch = new FetchPath(context, pages);
    this.control = new ControlPath(
      ...([context, this.groups, this.deadLetters, this.keeper, this.deferred] as const),
      pages.unreadable,
    );
    this.control.onDrain = (done) => this.draining.push(done);
    this.sender = { context, onVisible: (queue) => this.wake(queue) };
    const { replication } = context.config;
    if (replication !== undefined)
      this.replica = new ReplicaSide({
        ...{ context, keeper: this.keeper, groups: this.groups, replication, held: from.held },
        ...{ epoch: from.epoch, logId: from.logId, onVisible: (queue) => this.wake(queue) },
        onLead: () => {
          this.deliver.beginBoot();
          this.groups.watchAll();
        },
        onServe: (firstLease) => {
          context.bootEnd = 0;
          this.deliver.beginLeases(firstLease);
        },
      });
  }

  /** One duty cycle. @returns work done; 0: the thread may park */
  doWork(): number {
    const nowMs = this.context.clock.monotonicMs();
    let work = this.jobs.poll();
    if (this.replica !== undefined) work += this.replica.doWork(nowMs);
    work += this.readRequests();
    if (this.isMetadataLogged()) work += this.deadLetters.doWork() + this.copier.doWork();
    this.appendControl();
    // Behind the control records of this cycle. A shard that is about to stop leaves the rest to its next life.
    if (this.draining.length === 0) work += this.deferred.doWork();
    this.publishAppended();
    work += this.observePositions();
    work += releaseReplies(this.sender);
    if (this.replica?.mayDeliver !== false) work += this.deliver.doWork();
    this.control.sendUnsent();
    if (nowMs - this.timerAtMs >= TIMER_INTERVAL_MS) this.onTime(nowMs);
    this.finishDrain();
    for (const port of this.context.ports) if (port.publish()) work += 1;
    return work;
  }

  /** Is there something to do that arrived from another thread? */
  hasWork(): boolean {
    const { memory, log, ports } = this.context;
    if (this.jobs.hasResults()) return true;
    if (memory.faultCode() !== undefined && this.context.fenced === undefined) return true;
    if (memory.flushed.observe() > log.flushed || memory.written.observe() > log.written)
      return true;
    if (this.replica?.hasWork() === true || this.smallWriter.hasWork()) return true;
    return !this.isBlocked && ports.some((port) => !port.requests.isEmpty());
  }

  /** Milliseconds that the thread may sleep. */
  msUntilDue(): number {
    if (this.isBlocked || this.draining.length > 0 || this.keeper.isSnapshotWaiting) return 1;
    const replicaMs = this.replica?.nextTimerMs() ?? Number.POSITIVE_INFINITY;
    const next = Math.min(
      ...[this.groups.nextTimerMs(), this.fetch.nextTimerMs(), this.pages.nextTimerMs()],
      replicaMs,
    );
    const leftMs = Math.min(next - this.context.clock.monotonicMs(), this.deferred.msUntilDue());
    return Math.max(0, Math.min(100, leftMs));
  }

  private wake(queue: ConsumeQueue): void {
    this.groups.wake(queue);
    this.fetch.wake(queue);
  }

  private readRequests(): number {
    let work = 0;
    this.isBlocked = this.context.control.bytes > CONTROL_BACKLOG_BYTES;
    if (this.isBlocked) return 0;
    this.context.ports.forEach((port, index) => {
      work += port.requests.read(
        (type, at, length) => this.takeRequest(port, index, type, at, length),
        REQUESTS_PER_CYCLE,
      );
    });
    return work;
  }

  /** @returns false to leave the request in its ring */
  private takeRequest(
    port: ShardPort,
    index: number,
    type: number,
    at: number,
    length: number,
  ): boolean {
    const { control } = this.context;
    if (!port.canTakeRequest || control.bytes > CONTROL_BACKLOG_BYTES) return this.block();
    if (this.replica !== undefined) {
      const taken = this.replica.take(port, type, at, length);
      if (taken !== undefined) return taken || this.block();
    }
    switch (type) {
      case envelope.REQUEST_PRODUCE:
      case envelope.REQUEST_DEFER:
        // What is refused anyway is not kept waiting for room.
        if (this.context.refusal === undefined && !this.isMetadataLogged()) return this.block();
        return this.produce.handle(port, index, type, at, length) === 'done' || this.block();
      case envelope.REQUEST_SETTLE:
        this.settle.handle(port, index, at);
        return true;
      case envelope.REQUEST_FLOW:
        this.flow(port, at);
        return true;
      case envelope.REQUEST_FETCH:
        this.fetch.handle(port, at);
        return true;
      case envelope.REQUEST_CONTROL:
        this.control.handle(port, index, at, length);
        return true;
      default:
        return true;
    }
  }

  /**
   * Puts waiting metadata into the log. A batch of a topic must come after the record that makes the topic, or a replay
   * finds messages of a topic that it does not know yet.
   *
   * @returns false when there is no room for it
   */
  private isMetadataLogged(): boolean {
    if (this.context.control.hasMetadata) this.appendControl();
    return !this.context.control.hasMetadata;
  }

  private block(): false {
    this.isBlocked = true;
    return false;
  }

  private flow(port: ShardPort, at: number): void {
    const { view } = port.requests;
    const subscription = this.groups.subscriptions.get(
      view.getUint32(at + envelope.FLOW_SUBSCRIPTION, true),
    );
    if (subscription === undefined) return;
    const credit = view.getUint32(at + envelope.FLOW_CREDIT, true);
    const action = view.getUint32(at + envelope.FLOW_ACTION, true);
    if (action === envelope.FLOW_ADD) subscription.credit += credit;
    else if (action === envelope.FLOW_SET) subscription.credit = credit;
    else subscription.isPaused = action === envelope.FLOW_PAUSE;
    if (subscription.canReceive) this.groups.wakeSubscription(subscription);
  }

  /** Everything that was decided goes into the log, as far as there is room; then its answers wait behind it. */
  private appendControl(): void {
    const { control, log, pending, steadyEpochMs } = this.context;
    this.groups.writeSettled();
    const answers = this.settle.replies.length + this.control.replies.length;
    if (control.isEmpty && answers === 0) return;
    if (this.context.fenced !== undefined) {
      this.refuseAnswers();
      return;
    }
    if (this.replica?.answerLater(this.settle.replies, this.control.replies) === true) {
      this.forgetAnswers();
      return;
    }
    if (pending.room <= answers) return;
    while (!control.isEmpty) {
      if (log.noRoomFor(control.nextBytes) !== undefined) return;
      const payload = control.finish();
      const fields = { kind: layout.KIND_CONTROL, baseOffset: 0, topicId: 0, queueId: 0 } as const;
      log.append(fields, payload, 0, payload.length, steadyEpochMs());
      // The first of them begins with the number of this boot.
      if (this.context.bootEnd === Number.POSITIVE_INFINITY) this.context.bootEnd = log.appended;
    }
    // An answer without records of its own (all ranges were extended, say) waits for those before it all the same.
    for (const { port, session, correlation } of this.settle.replies) {
      this.pushAnswer(PENDING_SETTLED, port, session, correlation, undefined);
    }
    for (const { port, session, correlation, result } of this.control.replies) {
      this.pushAnswer(PENDING_CONTROL, port, session, correlation, { result });
    }
    this.forgetAnswers();
  }

  private forgetAnswers(): void {
    this.settle.replies.length = 0;
    this.control.replies.length = 0;
  }

  private pushAnswer(
    kind: number,
    port: number,
    session: number,
    correlation: number,
    subject: ControlResult | undefined,
  ): void {
    const reply = this.context.pending.push(this.context.log.appended);
    reply.kind = kind;
    reply.port = port;
    reply.session = session;
    reply.correlation = correlation;
    reply.subject = subject;
  }

  private refuseAnswers(): void {
    const { fenced, ports } = this.context;
    if (fenced === undefined) return;
    for (const { port, session, correlation } of this.settle.replies) {
      ports[port]?.failed(session, correlation, envelope.REQUEST_SETTLE, fenced.code, fenced.text);
    }
    for (const { port, session, correlation } of this.control.replies) {
      ports[port]?.failed(session, correlation, envelope.REQUEST_CONTROL, fenced.code, fenced.text);
    }
    this.forgetAnswers();
    this.context.control.clear();
  }

  private publishAppended(): void {
    const { log } = this.context;
    const isNew = log.appended !== this.publishedAppended;
    // What was appended while the flusher had the turn may have been left to this thread.
    if (!isNew && !this.smallWriter.hasWork()) return;
    this.publishedAppended = log.appended;
    if (isNew) log.publish();
    if (!this.smallWriter.write()) this.wakeFlusher();
  }

  /** Takes over the positions of the disk and moves the commit position, or fences the shard when the disk has failed. */
  private observePositions(): number {
    const { context } = this;
    context.log.observe();
    const fault = context.memory.faultCode();
    if (fault !== undefined) {
      // What was written before the failed sync may be gone, so ASYNC_FLUSH confirms nothing more either.
      this.fence(fault);
      return 0;
    }
    const { written, flushed } = context.log;
    const safe = safePosition(context.config.flushMode, written, flushed);
    const commit = context.isBounded
      ? boundedCommit(context.commit, safe, context.memory.replicated.observe())
      : safe;
    if (commit === context.commit) return 0;
    context.commit = commit;
    context.memory.commit.publish(commit);
    return 1;
  }

  private fence(code: ErrorCode): void {
    const { context } = this;
    if (context.fenced !== undefined) return;
    const cause = this.smallWriter.failure?.message;
    const text =
      `the disk refused a write or a sync${cause === undefined ? '' : ` (${cause})`}; ` +
      'what was not confirmed may be lost, and nothing more is taken';
    context.fenced = { code, text };
    context.refusal = context.fenced;
    context.emit({ event: 'fenced', code, message: text });
  }

  private onTime(nowMs: number): void {
    this.timerAtMs = nowMs;
    this.groups.onTime(nowMs);
    this.fetch.onTime(nowMs);
    this.pages.onTime(nowMs);
    this.volume.doWork(nowMs);
    this.keeper.doWork(nowMs);
    for (const port of this.context.ports) port.sweepLeases();
  }

  /** Drained: everything is committed and in a snapshot. */
  private finishDrain(): void {
    const { context } = this;
    if (this.draining.length === 0 || this.jobs.isBusy) return;
    if (context.fenced === undefined && context.log.flushed < context.log.appended) return;
    // What no slave has confirmed is in no snapshot, and a stop does not wait for slaves.
    const isHeld = context.isBounded && context.commit < context.log.appended;
    if (this.keeper.isSnapshotWaiting && !isHeld) return;
    const waiting = this.draining;
    this.draining = [];
    const done = (): void => {
      for (const finish of waiting) finish();
    };
    if (context.fenced === undefined && !isHeld) this.keeper.snapshot(done);
    else done();
  }
}
