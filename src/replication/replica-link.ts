/**
 * A master's view of one slave, over one connection: who it is, what it has, what was sent, what it has confirmed. Whatever does
 * not fit the protocol ends the connection and changes nothing.
 */
import { getU64 } from '../base/bytes.ts';
import type { Storage } from '../log/storage.ts';
import type { ReplicaState } from '../protocol/shard-control.ts';
import type { ByteLink } from './byte-link.ts';
import { Credential } from './credential.ts';
import { lastEpoch } from './epoch-history.ts';
import { FileSender } from './file-sender.ts';
import { FrameReader } from './frame-reader.ts';
import { TakeOver } from './hand-over.ts';
import { decide, type MasterLog, type Verdict } from './handshake.ts';
import type { LogSource } from './log-source.ts';
import { RunReceiver } from './run-receiver.ts';
import { RunSender } from './run-sender.ts';
import type { ShardDoor } from './shard-door.ts';
import * as codec from './transfer-codec.ts';
import * as layout from './transfer-layout.ts';

/** Milliseconds without a word after which a connection is given up. */
export const LINK_TIMEOUT_MS = 5000;
const NAME = /^[\w.%|-]{1,255}$/;

/** The master of one shard, as its connections see it. */
export interface LinkHost {
  readonly shard: number;
  readonly shards: number;
  readonly epoch: number;
  readonly secret: string;
  readonly source: LogSource;
  readonly storage: Storage;
  readonly door: ShardDoor;
  nonce(): Uint8Array;
  /** What is safe on this disk, and may be sent. */
  safe(): number;
  commit(): number;
  /** Where clients find this master; empty when it is not known. */
  address(): string;
  /** Is everything below on the disk, whatever the flush mode? */
  safeOnDisk(position: number): boolean;
  /** The end of this log was compared with that of a slave, which has no more. */
  compared(link: ReplicaLink): void;
  /** A log of a newer epoch exists. */
  fence(epoch: number): void;
  /** It has handed over all that was settled with it. */
  heard(link: ReplicaLink): void;
  /** May this link bring what the master lacks? One at a time. */
  mayFetch(link: ReplicaLink): boolean;
  /** Somebody claimed what cannot be. */
  refused(text: string): void;
}

type Phase = 'hello' | 'challenged' | 'asking' | 'streaming' | 'fetching' | 'filing' | 'closed';

export class ReplicaLink {
  /** Empty before the slave has proved who it is. */
  name = '';
  phase: Phase = 'hello';
  /** Confirmed by the slave on this connection; -1: nothing yet. */
  acked = -1;
  private readonly host: LinkHost;
  private readonly link: ByteLink;
  private readonly isLoopback: boolean;
  private readonly reader = new FrameReader();
  private slaveNonce: Uint8Array = new Uint8Array(0);
  private credential: Credential | undefined;
  private session = 0;
  private slave: codec.StateFrame | undefined;
  private answer: ReplicaState | undefined;
  private isAsked = false;
  private sender: RunSender | undefined;
  private receiver: RunReceiver | undefined;
  private takeOver: TakeOver | undefined;
  private files: FileSender | undefined;
  private outbox: Uint8Array[] = [];
  private isClosing = false;
  private heardAtMs: number;
  /** End of the record with the slave's name; -1: not in the log yet. */
  private recordedEnd = -1;
  private isRecordAsked = false;
  private runsWhenAsked = 0;
  /** A frame of a fetch has come that is not answered yet. */
  private owesAck = false;

  constructor(host: LinkHost, link: ByteLink, isLoopback: boolean, nowMs: number) {
    this.host = host;
    this.link = link;
    this.isLoopback = isLoopback;
    this.heardAtMs = nowMs;
  }

  /** Bytes from the slave. They are looked at in `doWork`. */
  receive(bytes: Uint8Array): void {
    if (this.phase !== 'closed') this.reader.push(bytes);
  }

  /** May the connection be read? Not while a frame waits for room. */
  get canReceive(): boolean {
    return this.reader.heldBytes < this.reader.frameBytesMax;
  }

  /** Something of the other end waits here: a frame that found no room, or one that is not whole. */
  get isHolding(): boolean {
    return this.reader.heldBytes > 0;
  }

  get isClosed(): boolean {
    return this.phase === 'closed';
  }

  /** Is all in the log that was settled with this slave while it was alone? */
  get hasHandedOver(): boolean {
    return this.takeOver?.isOver === true;
  }

  /** Sent on this connection; 0 before the stream begins. */
  get sent(): number {
    return this.sender?.sent ?? 0;
  }

  /** The connection is gone, or ends here. */
  close(): void {
    if (this.phase === 'closed') return;
    this.phase = 'closed';
    this.link.close();
  }

  doWork(nowMs: number): number {
    if (this.phase === 'closed') return 0;
    let work = this.flush();
    work += this.takeFrames(nowMs);
    if (nowMs - this.heardAtMs > LINK_TIMEOUT_MS) this.close();
    else if (this.phase === 'asking') work += this.proceed();
    else if (this.phase === 'fetching') work += this.endFetch();
    else if (this.phase === 'filing') work += this.sendFiles();
    else if (this.phase === 'streaming') work += this.stream(nowMs);
    return work + this.flush();
  }

  private takeFrames(nowMs: number): number {
    const isOpen = (): boolean => this.phase !== 'closed';
    const { taken, wrong } = this.reader.drain(isOpen, (frame) => this.take(frame));
    if (taken > 0) this.heardAtMs = nowMs;
    if (wrong !== undefined) this.wrong(wrong);
    return taken;
  }

  /** @returns `taken`, `later`, or what is wrong with it */
  private take(frame: codec.Frame): string {
    if (this.phase === 'hello' && frame.type === layout.HELLO) return this.challenge(frame);
    if (this.phase === 'challenged' && frame.type === layout.STATE) return this.meet(frame);
    if (this.phase === 'streaming' && frame.type === layout.ACK) return this.acknowledge(frame);
    if (this.phase === 'streaming' && frame.type === layout.SETTLED)
      return this.takeOver?.take(frame) ?? 'a hand-over out of turn';
    // While files come the slave only says that it is there.
    if (this.phase === 'filing' && frame.type === layout.ACK) return this.isOwnAck(frame);
    if (this.phase === 'fetching' && frame.type === layout.DATA) {
      const result = this.receiver?.take(frame) ?? 'wrong';
      this.owesAck = true;
      return result === 'wrong' ? 'a run that does not follow' : result;
    }
    return `a frame of type ${frame.type}, out of turn`;
  }

  private challenge(frame: codec.Frame): string {
    this.slaveNonce = codec.decodeNonce(frame);
    const nonce = this.host.nonce();
    this.credential = new Credential(this.host.secret, this.slaveNonce, nonce);
    this.session = this.credential.session();
    this.outbox.push(codec.encodeNonce(layout.CHALLENGE, nonce));
    this.phase = 'challenged';
    return 'taken';
  }

  private meet(frame: codec.Frame): string {
    const { proof, body } = codec.proofOf(frame);
    if (this.host.secret === '' && !this.isLoopback)
      return 'a connection from another machine, and no credential is set';
    if (this.credential?.isProof('slave', proof, body) !== true) return 'a wrong proof';
    const state = codec.decodeState(frame);
    if (state === undefined || !NAME.test(state.name)) return 'a state that cannot be';
    this.slave = state;
    this.name = state.name;
    this.reader.frameBytesMax = layout.TRANSFER_BYTES_MAX;
    this.phase = 'asking';
    return 'taken';
  }

  /** An acknowledgement counts on its own connection, for its epoch, and never above what was sent here. */
  private acknowledge(frame: codec.Frame): string {
    const position = getU64(frame.view, frame.at + layout.ACK_POSITION);
    const own = this.isOwnAck(frame);
    if (own !== 'taken') return own;
    if (position > this.sent) return 'an acknowledgement of what was not sent';
    if (position < this.acked) return 'an acknowledgement that takes one back';
    this.acked = position;
    return 'taken';
  }

  private isOwnAck({ view, at }: codec.Frame): string {
    if (view.getUint32(at + layout.ACK_SESSION, true) !== this.session)
      return 'an acknowledgement of another connection';
    if (view.getUint32(at + layout.ACK_EPOCH, true) !== this.host.epoch)
      return 'an acknowledgement for another epoch';
    return 'taken';
  }

  /** Decides as soon as the shard has said what its log is. */
  private proceed(): number {
    const { slave, answer } = this;
    if (answer === undefined || slave === undefined) {
      if (this.isAsked) return 0;
      this.runsWhenAsked = this.host.door.runsHanded;
      this.isAsked = this.host.door.askState((state) => {
        this.answer = state;
        this.isAsked = false;
      });
      return this.isAsked ? 1 : 0;
    }
    this.answer = undefined;
    // Another slave, whose connection is gone by now, has brought something meanwhile.
    if (answer.isFollowing && this.runsWhenAsked !== this.host.door.runsHanded) return 0;
    // What is still on its way to the disk is part of the comparison.
    if (answer.isFollowing && this.host.safe() < answer.appended) return 0;
    if (answer.isFollowing && !this.host.mayFetch(this)) return 0;
    const master = this.masterLog(answer);
    const verdict = decide(master, slave);
    this.carryOut(verdict, master, slave, answer);
    return 1;
  }

  private masterLog(state: ReplicaState): MasterLog {
    const { host } = this;
    return {
      ...{ shard: host.shard, shards: host.shards, epoch: host.epoch },
      ...{ logId: state.logId, epochs: state.epochs, isFollowing: state.isFollowing },
      ...{ end: state.appended, start: host.source.start(), ...host.source.shape },
      headerAt: (position) => host.source.headerAt(position),
    };
  }

  private carryOut(
    verdict: Verdict,
    master: MasterLog,
    slave: codec.StateFrame,
    state: ReplicaState,
  ): void {
    switch (verdict.kind) {
      case 'stream':
        this.tell(layout.VERDICT_STREAM, verdict.position, this.host.address());
        this.beginStream(verdict.position);
        this.host.compared(this);
        return;
      case 'fetch':
        this.tell(layout.VERDICT_FETCH, verdict.position, '', state.lastHeaderAt);
        this.beginFetch(verdict.position, lastEpoch(master.epochs));
        return;
      case 'replace':
        this.tell(layout.VERDICT_REPLACE, slave.end === 0 ? 0 : slave.end);
        if (slave.end === 0) this.beginFiles();
        else this.isClosing = true;
        return;
      case 'cut':
        this.tell(layout.VERDICT_CUT, verdict.position);
        this.isClosing = true;
        return;
      case 'refused':
        this.host.refused(`${this.name}: ${verdict.text}`);
        this.tell(layout.VERDICT_REFUSED, 0, verdict.text);
        this.isClosing = true;
        return;
      case 'fenced':
        this.host.fence(verdict.epoch);
        this.tell(layout.VERDICT_FENCED, 0, `epoch ${verdict.epoch} is newer than this master's`);
        this.isClosing = true;
    }
  }

  private tell(kind: number, position: number, text = '', lastHeaderAt = -1): void {
    const { credential, host } = this;
    if (credential === undefined) return;
    const lastCrc = lastHeaderAt < 0 ? 0 : (host.source.headerAt(lastHeaderAt)?.crc ?? 0);
    const verdict = { kind, position, text, epoch: host.epoch, lastHeaderAt, lastCrc };
    this.outbox.push(codec.encodeVerdict(verdict, (body) => credential.prove('master', body)));
  }

  private beginStream(position: number): void {
    const { link, session, host } = this;
    this.sender = new RunSender({
      link,
      session,
      position,
      epoch: host.epoch,
      source: host.source,
    });
    this.takeOver = new TakeOver({
      ...{ door: host.door, epoch: host.epoch, session },
      send: (bytes) => this.outbox.push(bytes),
      onAll: () => host.heard(this),
    });
    this.phase = 'streaming';
  }

  private beginFetch(position: number, newest: number): void {
    const { session, host } = this;
    this.receiver = new RunReceiver({
      ...{ session, position, epoch: host.epoch, lastEpoch: newest, door: host.door },
      chunkBytes: host.source.shape.chunkBytes,
    });
    this.phase = 'fetching';
  }

  private beginFiles(): void {
    const { link, session, host } = this;
    const { segmentBytes } = host.source.shape;
    this.files = new FileSender({ storage: host.storage, link, session, segmentBytes });
    this.phase = 'filing';
  }

  /** Everything that the slave had more is safe here: from now on it follows. */
  private endFetch(): number {
    const end = this.slave?.end ?? 0;
    if (this.host.safe() < end) return this.sayAlive();
    this.receiver = undefined;
    this.phase = 'asking';
    return 1;
  }

  /** Each frame of a fetch is answered: the slave has to know that there is still somebody. */
  private sayAlive(): number {
    if (!this.owesAck || this.outbox.length > 0) return 0;
    this.owesAck = false;
    this.outbox.push(codec.encodeAck(this.host.epoch, this.session, this.host.safe()));
    return 1;
  }

  private sendFiles(): number {
    if (this.outbox.length > 0) return 0;
    const result = this.files?.doWork() ?? 'gone';
    if (result === 'gone') this.close();
    // The slave ends the connection when all of it is on its disk.
    return typeof result === 'number' ? result : 0;
  }

  private stream(nowMs: number): number {
    const { sender, host } = this;
    if (sender === undefined || this.outbox.length > 0) return 0;
    // Before its name is in the log, on the disk, a power cut could make this master forget that anybody has more than it.
    const end = this.isRecorded() ? host.safe() : sender.sent;
    const result = sender.doWork(nowMs, end, host.commit(), Math.max(this.acked, 0));
    if (typeof result === 'number') return result;
    if (result === 'damaged') host.refused(`the log is damaged at position ${sender.sent}`);
    this.close();
    return 0;
  }

  private isRecorded(): boolean {
    if (this.recordedEnd >= 0) return this.host.safeOnDisk(this.recordedEnd);
    if (!this.isRecordAsked)
      this.isRecordAsked = this.host.door.putReplica(this.name, (end) => {
        this.recordedEnd = end;
      });
    return false;
  }

  private flush(): number {
    let sent = 0;
    while (this.outbox.length > 0 && this.link.send(this.outbox[0] as Uint8Array)) {
      this.outbox.shift();
      sent += 1;
    }
    if (this.isClosing && this.outbox.length === 0) this.close();
    return sent;
  }

  private wrong(text: string): void {
    this.host.refused(`${this.name === '' ? 'a connection' : this.name}: ${text}`);
    this.close();
  }
}
