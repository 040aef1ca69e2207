/**
 * What a shard does because others hold its log: it watches the gate that replication sets, follows until it may lead, appends
 * what replication brings, and tells senders who wait too long for a slave. Absent in a shard without replication.
 */
import type { ErrorCode } from '../base/error-codes.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import { GATE_ALONE, GATE_FENCED, GATE_OPEN, GATE_UNDECIDED } from '../log/log-memory.ts';
import { readText } from '../protocol/batch/text-bytes.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { ReplicaState, SettledPage, ShardControlRequest } from '../protocol/shard-control.ts';
import type { ControlReply } from './control-path.ts';
import type { GroupTable } from './group-table.ts';
import type { LogKeeper } from './log-keeper.ts';
import type { SettleReply } from './settle-path.ts';
import { takeSettled } from './settled-records.ts';
import type { ShardReplication } from './shard-config.ts';
import type { Refusal, ShardContext } from './shard-context.ts';
import type { ShardPort } from './shard-port.ts';
import { SlaveDelay } from './slave-delay.ts';
import { SlavePath } from './slave-path.ts';
import { SlaveStation } from './slave-station.ts';
import { takeLead } from './take-lead.ts';

/** Milliseconds after which it is worth asking again; at a slave, which may be alone by then. */
const RETRY_MS = 1000;
const RETRY_SLAVE_MS = 250;
/** Control requests that a follower answers too. */
const READS: readonly string[] = [
  ...['topicStatus', 'groupStatus', 'groupOffset', 'shardStatus', 'locate', 'findKey', 'drain'],
  ...['topicAt', 'listDelayed', 'listHalf'],
];
/** Those that a slave takes at any time: they take something away, or change nothing that is written down. */
const PARTINGS: readonly string[] = ['detach', 'assign'];

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
const FULL: Refusal = {
  code: 'LIMIT_REACHED',
  text: 'the journal of what was settled with this slave is full: its master must come back, or this slave be promoted',
};
const FENCED_TEXT = 'another broker reigns under a newer epoch; this one takes nothing any more';

/** Messages that were stored before this life and were not known to be confirmed. */
export type HeldQueue = { readonly queue: ConsumeQueue; readonly visibleEnd: number };

export type ReplicaSideOptions = {
  readonly context: ShardContext;
  readonly keeper: LogKeeper;
  readonly groups: GroupTable;
  readonly replication: ShardReplication;
  readonly epoch: number;
  readonly logId: string | undefined;
  readonly held: readonly HeldQueue[];
  /** The shard writes its own records from now on. */
  readonly onLead: () => void;
  /** It delivers without a master: the first lease has this number. */
  readonly onServe: (firstLease: number) => void;
  readonly onVisible: (queue: ConsumeQueue) => void;
};

export class ReplicaSide {
  private readonly options: ReplicaSideOptions;
  private readonly context: ShardContext;
  private readonly slave: SlavePath;
  private readonly station: SlaveStation | undefined;
  /** On a master: no slave is waited for that may have settled something. */
  private areSlavesHeard = false;
  /** On a master: what it has settled as a slave is in the log, below; -1: there is nothing, or it is not there yet. */
  private journalEnd = -1;
  private readonly heldEnd: number;
  private held: readonly HeldQueue[];
  private gate: number = GATE_UNDECIDED;
  private refusal: Refusal | undefined;
  private replicated = 0;
  private readonly delay: SlaveDelay;
  /** Names that came before this shard may write. */
  private deferred: (() => void)[] = [];
  /** Answers that wait until their record is in the log; false: there is no room for them now. */
  private recorded: ((end: number) => boolean)[] = [];
  /** What the disk says: `following` or not; undefined while that is being changed. */
  private followsOnDisk: boolean | undefined;

  constructor(options: ReplicaSideOptions) {
    const { context } = options;
    this.options = options;
    this.context = context;
    this.slave = new SlavePath(context, options.keeper);
    this.held = options.held;
    this.heldEnd = context.log.appended;
    this.delay = new SlaveDelay(context, options.replication.syncFlushTimeoutMs);
    this.followsOnDisk = options.replication.role === 'slave';
    if (context.isFollowing) this.refuse(this.isSlave ? NOT_MASTER : COMPARES);
    this.station = this.newStation(options);
    // Its records are on their way with those of the boot.
    if (!context.isFollowing) this.noteJournal();
  }

  /** At the beginning of a duty cycle. @returns work done */
  doWork(nowMs: number): number {
    // A full disk's refusal may have come over ours, and ends with a segment: a follower writes nothing of its own all the same.
    if (this.context.isFollowing) this.context.refusal ??= this.refusal;
    let work = this.slave.tellChanges();
    this.replicated = this.context.memory.replicated.observe();
    work += this.observeGate();
    // What a fenced shard has thrown away is in no log.
    const mayTell = this.context.fenced === undefined && this.context.control.isEmpty;
    if (this.recorded.length > 0 && mayTell) {
      const end = this.context.log.appended;
      const { length } = this.recorded;
      this.recorded = this.recorded.filter((answer) => !answer(end));
      work += length - this.recorded.length;
    }
    this.showHeld();
    work += this.keepJournal();
    if (this.options.replication.ack === 'SYNC_MASTER' && !this.isSlave) this.delay.watch(nowMs);
    return work;
  }

  hasWork(): boolean {
    const { memory, fenced } = this.context;
    if (memory.replicated.observe() > this.replicated) return true;
    return fenced === undefined && memory.gate() !== this.gate;
  }

  /** Monotonic time of the next time-out. */
  nextTimerMs(): number {
    return this.delay.nextTimerMs();
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
    const isAck = view.getUint32(at + envelope.SETTLE_ACTION, true) === envelope.SETTLE_ACK;
    const isServing = this.station?.isServing === true;
    const isFull = isAck && this.station?.isFull === true;
    if (isServing && !isFull) return undefined;
    const session = view.getUint32(at + envelope.SETTLE_SESSION, true);
    const correlation = view.getUint32(at + envelope.SETTLE_CORRELATION, true);
    const refusal = isServing ? FULL : undefined;
    if (correlation !== 0) this.fail(port, session, correlation, envelope.REQUEST_SETTLE, refusal);
    return true;
  }

  /** May messages go out to groups? */
  get mayDeliver(): boolean {
    return this.station === undefined ? this.areSlavesHeard : this.station.mayDeliver;
  }

  /** Answers that wait for the journal, on a slave. @returns false: they wait for the log */
  answerLater(settles: readonly SettleReply[], controls: readonly ControlReply[]): boolean {
    this.station?.answerLater(settles, controls);
    return this.station !== undefined;
  }

  private newStation({ context, groups, onServe }: ReplicaSideOptions): SlaveStation | undefined {
    const { journal } = context;
    if (!this.isSlave || journal === undefined) return undefined;
    const onFault = ({ message }: { message: string }): void =>
      this.fence('STORAGE_IO', message, undefined);
    return new SlaveStation({ context, journal, groups, onServe, onFault });
  }

  /** What was settled here as a slave becomes part of the log. */
  private noteJournal(): void {
    if (this.context.journal?.isEmpty !== false) return;
    this.recorded.push((end) => {
      this.journalEnd = end;
      return true;
    });
  }

  private keepJournal(): number {
    const { journal, commit, log } = this.context;
    if (this.station !== undefined) return this.station.doWork();
    if (journal === undefined) return 0;
    if (this.journalEnd >= 0 && commit >= this.journalEnd && log.flushed >= this.journalEnd) {
      this.journalEnd = -1;
      journal.empty();
    }
    return journal.doWork(this.context, ({ message }) =>
      this.fence('STORAGE_IO', message, undefined),
    );
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
    const handedOver = this.takeHandOver(port, session, correlation, request);
    if (handedOver !== undefined) return handedOver;
    if (!this.context.isFollowing || READS.includes(request.op)) return undefined;
    if (request.op === 'seek' && request.dryRun === true) return undefined;
    if (this.station !== undefined && PARTINGS.includes(request.op)) return undefined;
    if (this.station?.isServing === true && request.op === 'attach') return undefined;
    this.fail(port, session, correlation, envelope.REQUEST_CONTROL);
    return true;
  }

  /** What replication has to say of journals. @returns undefined when it is something else */
  private takeHandOver(
    port: ShardPort,
    session: number,
    correlation: number,
    request: ShardControlRequest,
  ): boolean | undefined {
    if (request.op === 'settledPage') {
      // Whoever asks has found a master: what it was before counts no more.
      if (request.from === 0) this.gate = GATE_UNDECIDED;
      return port.control(session, correlation, this.station?.page(request.from));
    }
    if (request.op === 'takeSettled') {
      this.takeSettled(request.records, (end) => port.control(session, correlation, { end }));
      return true;
    }
    if (request.op === 'settledLogged') this.station?.logged(request.end);
    else if (request.op === 'slavesHeard') this.areSlavesHeard = true;
    else return undefined;
    return port.control(session, correlation, {});
  }

  private takeSettled(records: SettledPage['records'], answer: (end: number) => boolean): void {
    const { context } = this;
    if (context.isFollowing) {
      this.deferred.push(() => this.takeSettled(records, answer));
      return;
    }
    takeSettled(context, this.options.groups, records);
    this.recorded.push(answer);
  }

  private fail(
    port: ShardPort,
    session: number,
    correlation: number,
    request: number,
    refusal: Refusal | undefined = this.refusal,
  ): void {
    const { code, text } = refusal ?? NOT_MASTER;
    const retryAfterMs = this.station === undefined ? RETRY_MS : RETRY_SLAVE_MS;
    port.failed(session, correlation, request, code, text, retryAfterMs);
  }

  private state(): ReplicaState {
    const { state, log, isFollowing } = this.context;
    const { appended, lastHeaderAt } = log;
    const { logId, epochs } = state;
    return { logId, epochs, replicas: [...state.replicas], appended, lastHeaderAt, isFollowing };
  }

  /** A slave that is not in the log could be forgotten by a power cut, and then nobody would wait for what it has. */
  private putReplica(name: string, answer: (end: number) => boolean): void {
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
    if (this.context.fenced !== undefined) return 0;
    if (this.station !== undefined) return this.observeMaster(this.station, gate);
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

  /** A slave serves its groups as long as it has no master. */
  private observeMaster(station: SlaveStation, gate: number): number {
    if (gate === this.gate) return 0;
    this.gate = gate;
    if (gate === GATE_ALONE) station.begin();
    else station.end();
    return 1;
  }

  /** @returns false while the disk still has to be told */
  private mayLead(): boolean {
    if (this.followsOnDisk === undefined) return false;
    if (this.followsOnDisk) {
      this.setFollowing(false);
      return false;
    }
    takeLead(this.context, this.options.epoch, this.options.logId);
    this.noteJournal();
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
}
