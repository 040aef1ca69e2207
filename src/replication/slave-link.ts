/**
 * A slave's side of one shard and connection: says what its log is, does what the master decides, takes runs and confirms what
 * is safe here. What it cannot do while its shard runs (cut, replace) it reports: whoever drives it closes the shard first.
 */
import { GATE_UNDECIDED, type LogMemory } from '../log/log-memory.ts';
import type { Storage } from '../log/storage.ts';
import type { ReplicaState } from '../protocol/shard-control.ts';
import type { ByteLink } from './byte-link.ts';
import { Credential } from './credential.ts';
import { lastEpoch } from './epoch-history.ts';
import { FileReceiver } from './file-receiver.ts';
import { FrameReader } from './frame-reader.ts';
import { HandOver } from './hand-over.ts';
import type { LogShape, LogSource } from './log-source.ts';
import { LINK_TIMEOUT_MS } from './replica-link.ts';
import { RunReceiver } from './run-receiver.ts';
import { RunSender } from './run-sender.ts';
import type { ShardDoor } from './shard-door.ts';
import * as codec from './transfer-codec.ts';
import * as layout from './transfer-layout.ts';

/** The shard that follows; while its log is replaced there is none. */
export type SlaveShard = {
  readonly memory: LogMemory;
  readonly source: LogSource;
  readonly door: ShardDoor;
  readonly isSyncFlush: boolean;
};

/** Why a connection ended, and what is to be done before the next. */
export type SlaveOutcome =
  /** Close the shard, cut its log there (log/cut-tail.ts), open it, connect again. */
  | { readonly kind: 'cut'; readonly position: number }
  /** Close the shard and connect without it: its log comes as files. */
  | { readonly kind: 'replace' }
  /** The files are there: open the shard, connect again. */
  | { readonly kind: 'replaced' }
  /** A person has to look. */
  | { readonly kind: 'refused'; readonly text: string }
  | { readonly kind: 'lost' };

export type SlaveLinkOptions = {
  readonly link: ByteLink;
  readonly name: string;
  readonly secret: string;
  readonly shard: number;
  readonly shards: number;
  readonly shape: LogShape;
  /** Undefined: the log is to be replaced, in this storage. */
  readonly local: SlaveShard | undefined;
  readonly storage: Storage;
  readonly nowMs: number;
  readonly nonce: Uint8Array;
};

type Phase = 'hello' | 'greeting' | 'decided' | 'streaming' | 'fetched' | 'filing' | 'closed';

export class SlaveLink {
  outcome: SlaveOutcome | undefined;
  phase: Phase = 'hello';
  /** The master's reign, once it is known. */
  epoch = 0;
  /** Where clients find the master, as it says; empty when it does not. */
  masterAddress = '';
  private readonly options: SlaveLinkOptions;
  private readonly reader = new FrameReader();
  private credential: Credential | undefined;
  private session = 0;
  private state: ReplicaState | undefined;
  private isAsked = false;
  private receiver: RunReceiver | undefined;
  private handOver: HandOver | undefined;
  private sender: RunSender | undefined;
  private files: FileReceiver | undefined;
  private outbox: Uint8Array[] = [];
  private heardAtMs: number;
  private told = -1;
  /** A frame has come that is not answered yet. */
  private owesAck = false;
  private commit = 0;

  constructor(options: SlaveLinkOptions) {
    this.options = options;
    this.heardAtMs = options.nowMs;
    this.outbox.push(codec.encodeNonce(layout.HELLO, options.nonce));
  }

  receive(bytes: Uint8Array): void {
    if (this.phase !== 'closed') this.reader.push(bytes);
  }

  get canReceive(): boolean {
    return this.reader.heldBytes < this.reader.frameBytesMax;
  }

  /** Has a master taken this log for a part of its own, on this connection? */
  get isMet(): boolean {
    return this.phase === 'streaming' || this.phase === 'fetched' || this.phase === 'filing';
  }

  /** Handing over what was settled here; undefined before the stream begins. */
  get handingOver(): { readonly records: number; readonly isOver: boolean } | undefined {
    return this.handOver;
  }

  /** Something of the other end waits here: a frame that found no room, or one that is not whole. */
  get isHolding(): boolean {
    return this.reader.heldBytes > 0;
  }

  /** The connection is gone. */
  onClosed(): void {
    this.end({ kind: 'lost' });
  }

  /** @throws STORAGE_IO, STORAGE_FULL while files are taken */
  doWork(nowMs: number): number {
    if (this.phase === 'closed') return 0;
    let work = this.flush() + (this.options.local?.door.poll() ?? 0);
    work += this.takeFrames(nowMs);
    if (nowMs - this.heardAtMs > LINK_TIMEOUT_MS) this.end({ kind: 'lost' });
    else if (this.phase === 'greeting') work += this.greet();
    else if (this.phase === 'streaming')
      work += (this.handOver?.doWork() ?? 0) + this.acknowledge();
    else if (this.phase === 'filing') work += this.sayAlive();
    else if (this.phase === 'fetched') work += this.send(nowMs);
    return work + this.flush();
  }

  private takeFrames(nowMs: number): number {
    const isOpen = (): boolean => this.phase !== 'closed';
    const { taken, wrong } = this.reader.drain(isOpen, (frame) => this.take(frame));
    if (taken > 0) this.heardAtMs = nowMs;
    if (wrong !== undefined) this.end({ kind: 'lost' });
    return taken;
  }

  private take(frame: codec.Frame): 'taken' | 'later' | 'wrong' {
    if (frame.type === layout.CHALLENGE && this.phase === 'hello') return this.challenged(frame);
    if (frame.type === layout.VERDICT && (this.phase === 'decided' || this.phase === 'fetched'))
      return this.decided(frame);
    if (frame.type === layout.ACK && this.phase === 'fetched') return this.heard(frame);
    if (frame.type === layout.DATA && this.phase === 'streaming') return this.takeRun(frame);
    if (frame.type === layout.LOGGED && this.phase === 'streaming')
      return this.handOver?.take(frame) ?? 'wrong';
    if (frame.type === layout.FILE && this.phase === 'filing') return this.takeFile(frame);
    return 'wrong';
  }

  private challenged(frame: codec.Frame): 'taken' {
    const { secret, nonce } = this.options;
    this.credential = new Credential(secret, nonce, codec.decodeNonce(frame));
    this.session = this.credential.session();
    this.reader.frameBytesMax = layout.TRANSFER_BYTES_MAX;
    this.phase = 'greeting';
    return 'taken';
  }

  /** Says what the log is, once everything that was handed to the shard before is safe. */
  private greet(): number {
    const { local } = this.options;
    if (local === undefined) return this.tellState(EMPTY, 0);
    if (this.state === undefined) {
      if (!this.isAsked)
        this.isAsked = local.door.askState((state) => {
          this.state = state;
        });
      return 0;
    }
    if (this.safe() >= this.state.appended) return this.tellState(this.state, this.lastCrc());
    return 0;
  }

  private tellState(state: ReplicaState, lastCrc: number): number {
    const { credential, options } = this;
    if (credential === undefined) return 0;
    const { name, shard, shards, shape } = options;
    const frame = {
      ...{ name, shard, shards, ...shape, end: state.appended, lastCrc },
      ...{ lastHeaderAt: state.lastHeaderAt, logId: state.logId, epochs: state.epochs },
    };
    this.state = state;
    this.outbox.push(codec.encodeState(frame, (body) => credential.prove('slave', body)));
    this.phase = 'decided';
    return 1;
  }

  private lastCrc(): number {
    const at = this.state?.lastHeaderAt ?? -1;
    return at < 0 ? 0 : (this.options.local?.source.headerAt(at)?.crc ?? 0);
  }

  private decided(frame: codec.Frame): 'taken' | 'wrong' {
    const { proof, body } = codec.proofOf(frame);
    if (this.credential?.isProof('master', proof, body) !== true) return 'wrong';
    const verdict = codec.decodeVerdict(frame);
    const { state } = this;
    if (verdict === undefined || state === undefined) return 'wrong';
    this.epoch = verdict.epoch;
    switch (verdict.kind) {
      case layout.VERDICT_STREAM:
        return this.beginStream(verdict, state);
      case layout.VERDICT_FETCH:
        return this.beginFetched(verdict, state);
      case layout.VERDICT_CUT:
        // Bytes of the master's own epoch, or of one that it does not know, are never cut.
        if (lastEpoch(state.epochs) > verdict.epoch || verdict.position >= state.appended)
          return 'wrong';
        this.end({ kind: 'cut', position: verdict.position });
        return 'taken';
      case layout.VERDICT_REPLACE:
        return this.beginFiles(state);
      default:
        this.end({ kind: 'refused', text: verdict.text });
        return 'taken';
    }
  }

  private beginStream(verdict: codec.VerdictFrame, state: ReplicaState): 'taken' | 'wrong' {
    const { local, shape } = this.options;
    if (lastEpoch(state.epochs) > verdict.epoch) return 'wrong';
    if (verdict.position !== state.appended) return 'wrong';
    this.masterAddress = verdict.text;
    if (local === undefined) {
      // There was nothing to replace: the log begins at 0 and comes as a stream.
      this.end({ kind: 'replaced' });
      return 'taken';
    }
    this.receiver = new RunReceiver({
      ...{ door: local.door, chunkBytes: shape.chunkBytes, epoch: verdict.epoch },
      ...{ session: this.session, position: verdict.position, lastEpoch: lastEpoch(state.epochs) },
    });
    this.sender = undefined;
    this.handOver = new HandOver({
      ...{ door: local.door, epoch: verdict.epoch, session: this.session },
      send: (bytes) => this.outbox.push(bytes),
    });
    // Before the shard is asked for its journal: from then on it settles nothing.
    local.memory.setGate(GATE_UNDECIDED);
    this.owesAck = true;
    this.phase = 'streaming';
    return 'taken';
  }

  /** The master lacks what this log has of its epoch. */
  private beginFetched(verdict: codec.VerdictFrame, state: ReplicaState): 'taken' | 'wrong' {
    const { local, link } = this.options;
    const { position, lastHeaderAt } = verdict;
    if (local === undefined || position > state.appended || this.phase === 'fetched')
      return 'wrong';
    if (lastHeaderAt >= 0 && local.source.headerAt(lastHeaderAt)?.crc !== verdict.lastCrc) {
      const text = `the logs differ at position ${lastHeaderAt} in the same epoch: a person must decide`;
      this.end({ kind: 'refused', text });
      return 'taken';
    }
    const { session } = this;
    const { source } = local;
    this.sender = new RunSender({ link, source, session, position, epoch: verdict.epoch });
    this.phase = 'fetched';
    return 'taken';
  }

  private beginFiles(state: ReplicaState): 'taken' {
    const { local, storage, shape } = this.options;
    if (local !== undefined || state.appended > 0) this.end({ kind: 'replace' });
    else {
      this.files = new FileReceiver(storage, shape.segmentBytes, this.session);
      this.phase = 'filing';
    }
    return 'taken';
  }

  private takeRun(frame: codec.Frame): 'taken' | 'later' | 'wrong' {
    if (this.handOver?.isAsked !== true) return 'later';
    const result = this.receiver?.take(frame) ?? 'wrong';
    if (result !== 'taken') return result;
    this.owesAck = true;
    const commit = this.receiver?.commit ?? 0;
    if (commit > this.commit) {
      this.commit = commit;
      // Nobody reads here what the master has not confirmed.
      const { memory } = this.options.local as SlaveShard;
      if (commit > memory.replicated.observe()) memory.replicated.publish(commit);
    }
    return 'taken';
  }

  /** The master is there, and takes what it lacks. */
  private heard({ view, at }: codec.Frame): 'taken' | 'wrong' {
    const isOwn =
      view.getUint32(at + layout.ACK_SESSION, true) === this.session &&
      view.getUint32(at + layout.ACK_EPOCH, true) === this.epoch;
    return isOwn ? 'taken' : 'wrong';
  }

  private takeFile(frame: codec.Frame): 'taken' | 'wrong' {
    const result = this.files?.take(frame) ?? 'wrong';
    this.owesAck = true;
    if (result === 'done') this.end({ kind: 'replaced' });
    return result === 'wrong' ? 'wrong' : 'taken';
  }

  /** Files take long, and a master that hears nothing gives up. */
  private sayAlive(): number {
    if (!this.owesAck || this.outbox.length > 0) return 0;
    this.owesAck = false;
    this.outbox.push(codec.encodeAck(this.epoch, this.session, 0));
    return 1;
  }

  /** Confirms what is safe here, and every frame that came. */
  private acknowledge(): number {
    const position = Math.min(this.safe(), this.receiver?.passed ?? 0);
    if (this.outbox.length > 0 || (position === this.told && !this.owesAck)) return 0;
    this.outbox.push(codec.encodeAck(this.epoch, this.session, position));
    this.told = position;
    this.owesAck = false;
    return 1;
  }

  private send(nowMs: number): number {
    const end = this.state?.appended ?? 0;
    const result = this.sender?.doWork(nowMs, end, 0, end) ?? 'gone';
    if (typeof result === 'number') return result;
    this.end({
      kind: 'refused',
      text: `the log cannot be read at ${this.sender?.sent}: ${result}`,
    });
    return 0;
  }

  private safe(): number {
    const { local } = this.options;
    if (local === undefined) return 0;
    return local.isSyncFlush ? local.memory.flushed.observe() : local.memory.written.observe();
  }

  private flush(): number {
    let sent = 0;
    while (this.outbox.length > 0 && this.options.link.send(this.outbox[0] as Uint8Array)) {
      this.outbox.shift();
      sent += 1;
    }
    return sent;
  }

  private end(outcome: SlaveOutcome): void {
    if (this.phase === 'closed') return;
    this.phase = 'closed';
    this.outcome = outcome;
    this.files?.close();
    this.options.link.close();
  }
}

/** A log that is to be replaced is empty. */
const EMPTY: ReplicaState = {
  ...{ logId: '', epochs: [], replicas: [], appended: 0, lastHeaderAt: -1, isFollowing: true },
};
