/**
 * What a shard does because others hold its log: it watches the gate that replication sets, follows until it may lead, appends
 * what replication brings, and tells senders who wait too long for a slave. Absent in a shard without replication.
 */
import type { ErrorCode } from '../base/error-codes.ts';
import { safePosition } from '../commit/commit-policy.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import { GATE_FENCED, GATE_OPEN, GATE_UNDECIDED } from '../log/log-memory.ts';
import { readText } from '../protocol/batch/text-bytes.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { ReplicaState, ShardControlRequest } from '../protocol/shard-control.ts';
import type { LogKeeper } from './log-keeper.ts';
import { timeOutReplies } from './release-replies.ts';
import type { ShardReplication } from './shard-config.ts';
import type { Refusal, ShardContext } from './shard-context.ts';
import type { ShardPort } from './shard-port.ts';
import { SlavePath } from './slave-path.ts';
import { takeLead } from './take-lead.ts';

/** Control requests that a follower answers too. */
const READS: readonly string[] = [
  ...['topicStatus', 'groupStatus', 'shardStatus', 'locate', 'findKey', 'drain'],
];

const NOT_MASTER: Refusal = {
  code: 'NOT_MASTER',
  text: 'this broker is a slave of the master of this log',
};
const COMPARES: Refusal = {
  code: 'SLAVE_NOT_AVAILABLE',
  text: 'this master takes nothing before it has compared its log with a slave',
};
const TOO_FEW: Refusal = {
  code: 'SLAVE_NOT_AVAILABLE',
  text: 'too few slaves are connected and near; nothing was stored',
};
const FENCED_TEXT = 'another broker reigns under a newer epoch; this one takes nothing any more';

/** Messages that were stored before this life and were not known to be confirmed. */
export type HeldQueue = { readonly queue: ConsumeQueue; readonly visibleEnd: number };

export type ReplicaSideOptions = {
  readonly context: ShardContext;
  readonly keeper: LogKeeper;
  readonly replication: ShardReplication;
  readonly epoch: number;
  readonly logId: string | undefined;
  readonly held: readonly HeldQueue[];
  /** The shard writes its own records from now on. */
  readonly onLead: () => void;
  readonly onVisible: (queue: ConsumeQueue) => void;
};

/** Position reached by a duty cycle, and when. */
type Mark = { readonly position: number; readonly atMs: number };

export class ReplicaSide {
  private readonly options: ReplicaSideOptions;
  private readonly context: ShardContext;
  private readonly slave: SlavePath;
  private readonly heldEnd: number;
  private held: readonly HeldQueue[];
  private gate: number = GATE_UNDECIDED;
  private refusal: Refusal | undefined;
  private replicated = 0;
  private marks: Mark[] = [];
  private markedEnd: number;
  /** Names that came before this shard may write. */
  private deferred: (() => void)[] = [];
  /** Answers that wait until their record is in the log. */
  private recorded: ((end: number) => void)[] = [];
  /** What the disk says: `following` or not; undefined while that is being changed. */
  private followsOnDisk: boolean | undefined;

  constructor(options: ReplicaSideOptions) {
    const { context } = options;
    this.options = options;
    this.context = context;
    this.slave = new SlavePath(context, options.keeper);
    this.held = options.held;
    this.heldEnd = context.log.appended;
    this.markedEnd = context.log.appended;
    this.followsOnDisk = options.replication.role === 'slave';
    if (context.isFollowing) this.refuse(this.isSlave ? NOT_MASTER : COMPARES);
  }

  /** At the beginning of a duty cycle. @returns work done */
  doWork(nowMs: number): number {
    let work = this.slave.tellChanges();
    this.replicated = this.context.memory.replicated.observe();
    work += this.observeGate();
    if (this.recorded.length > 0 && this.context.control.isEmpty) {
      const waiting = this.recorded;
      this.recorded = [];
      for (const answer of waiting) answer(this.context.log.appended);
      work += 1;
    }
    this.showHeld();
    if (this.options.replication.ack === 'SYNC_MASTER' && !this.isSlave) this.watchDelay(nowMs);
    return work;
  }

  hasWork(): boolean {
    const { memory } = this.context;
    return memory.replicated.observe() > this.replicated || memory.gate() !== this.gate;
  }

  /** Monotonic time of the next time-out. */
  nextTimerMs(): number {
    const first = this.marks[0];
    if (first === undefined) return Number.POSITIVE_INFINITY;
    return first.atMs + this.options.replication.syncFlushTimeoutMs;
  }

  /**
   * Takes a request that replication sent, or that a follower must refuse.
   *
   * @returns undefined when it is like any other; false to leave it in its ring
   */
  take(port: ShardPort, type: number, at: number, length: number): boolean | undefined {
    if (type === envelope.REQUEST_REPLICATE) return this.replicate(port, at, length);
    if (type === envelope.REQUEST_CONTROL) return this.takeControl(port, at, length);
    if (!this.context.isFollowing) return undefined;
    if (type !== envelope.REQUEST_SETTLE) return undefined;
    const { view } = port.requests;
    const session = view.getUint32(at + envelope.SETTLE_SESSION, true);
    const correlation = view.getUint32(at + envelope.SETTLE_CORRELATION, true);
    if (correlation !== 0) this.fail(port, session, correlation, envelope.REQUEST_SETTLE);
    return true;
  }

  private get isSlave(): boolean {
    return this.options.replication.role === 'slave';
  }

  private replicate(port: ShardPort, at: number, length: number): boolean {
    if (this.followsOnDisk !== true) {
      if (this.followsOnDisk === false) this.setFollowing(true);
      return false;
    }
    return this.slave.append(port, at, length);
  }

  /** A start must know whose flushed positions the headers name. */
  private setFollowing(follows: boolean): void {
    this.followsOnDisk = undefined;
    this.context.submit({ kind: 'set-following', follows }, ({ error }) => {
      if (error === undefined) this.followsOnDisk = follows;
      else this.fence('STORAGE_IO', error.message, undefined);
    });
  }

  private takeControl(port: ShardPort, at: number, length: number): boolean | undefined {
    const { bytes, view } = port.requests;
    const session = view.getUint32(at + envelope.CONTROL_SESSION, true);
    const correlation = view.getUint32(at + envelope.CONTROL_CORRELATION, true);
    const json = readText(bytes, at + envelope.CONTROL_JSON, at + length);
    const request = JSON.parse(json) as ShardControlRequest;
    if (request.op === 'replicaState') return port.control(session, correlation, this.state());
    if (request.op === 'putReplica') {
      this.putReplica(request.name, (end) => port.control(session, correlation, { end }));
      return true;
    }
    if (!this.context.isFollowing || READS.includes(request.op)) return undefined;
    if (request.op === 'seek' && request.dryRun === true) return undefined;
    this.fail(port, session, correlation, envelope.REQUEST_CONTROL);
    return true;
  }

  private fail(port: ShardPort, session: number, correlation: number, request: number): void {
    const { code, text } = this.refusal ?? NOT_MASTER;
    port.failed(session, correlation, request, code, text, 1000);
  }

  private state(): ReplicaState {
    const { state, log, isFollowing } = this.context;
    const { appended, lastHeaderAt } = log;
    const { logId, epochs } = state;
    return { logId, epochs, replicas: [...state.replicas], appended, lastHeaderAt, isFollowing };
  }

  /** A slave that is not in the log could be forgotten by a power cut, and then nobody would wait for what it has. */
  private putReplica(name: string, answer: (end: number) => void): void {
    const { state, control } = this.context;
    if (!state.replicas.has(name)) {
      if (this.context.isFollowing) {
        this.deferred.push(() => this.putReplica(name, answer));
        return;
      }
      const record = { put: 'replica', name } as const;
      state.applyMetadata(record);
      control.metadata(record);
    }
    this.recorded.push(answer);
  }

  private observeGate(): number {
    const gate = this.context.memory.gate();
    if (this.isSlave || this.context.fenced !== undefined) return 0;
    if (gate === GATE_FENCED) {
      this.fence('SHARD_FENCED', FENCED_TEXT, { code: 'NOT_MASTER', text: FENCED_TEXT });
      return 1;
    }
    if (gate !== GATE_UNDECIDED && this.context.isFollowing && !this.mayLead()) return 0;
    // Another refusal (a full disk) may have come over ours.
    if (gate === this.gate && this.context.refusal !== undefined) return 0;
    const isChanged = gate !== this.gate;
    this.gate = gate;
    if (gate === GATE_OPEN) this.refuse(undefined);
    else if (gate !== GATE_UNDECIDED) this.refuse(TOO_FEW);
    return isChanged ? 1 : 0;
  }

  /** @returns false while the disk still has to be told */
  private mayLead(): boolean {
    if (this.followsOnDisk === undefined) return false;
    if (this.followsOnDisk) {
      this.setFollowing(false);
      return false;
    }
    takeLead(this.context, this.options.epoch, this.options.logId);
    this.options.onLead();
    for (const put of this.deferred.splice(0)) put();
    return true;
  }

  private refuse(refusal: Refusal | undefined): void {
    const { context } = this;
    if (context.refusal === undefined || context.refusal === this.refusal)
      context.refusal = refusal;
    this.refusal = refusal;
  }

  private fence(code: ErrorCode, text: string, refusal: Refusal | undefined): void {
    const { context } = this;
    context.fenced = { code, text };
    context.refusal = refusal ?? context.fenced;
    this.refusal = context.refusal;
    context.emit({ event: 'fenced', code, message: text });
  }

  /** What was stored before this life can be seen once others are known to have it. */
  private showHeld(): void {
    if (this.held.length === 0 || this.context.commit < this.heldEnd) return;
    for (const { queue, visibleEnd } of this.held) {
      queue.visibleEnd = Math.max(queue.visibleEnd, visibleEnd);
      this.options.onVisible(queue);
    }
    this.held = [];
  }

  private watchDelay(nowMs: number): void {
    const { log, config, commit } = this.context;
    if (log.appended > this.markedEnd) {
      this.marks.push({ position: log.appended, atMs: nowMs });
      this.markedEnd = log.appended;
    }
    let passed = 0;
    for (const { position, atMs } of this.marks) {
      if (position > commit) {
        if (nowMs - atMs < this.options.replication.syncFlushTimeoutMs) break;
        // As long as the own disk is what is slow, no slave is to blame.
        const safe = safePosition(config.flushMode, log.written, log.flushed);
        if (safe < position || !timeOutReplies(this.context, position)) break;
      }
      passed += 1;
    }
    if (passed > 0) this.marks.splice(0, passed);
  }
}
