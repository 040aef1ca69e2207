/**
 * Replication of a slave: one connection a shard to the master's HA port, dialled again and again with growing pauses, and what
 * a verdict demands: the shard is closed through the broker, its log cut or replaced here, and opened again. Replication thread.
 */

import { toSluiceError } from '../base/errors.ts';
import { type Prng, seededPrng } from '../base/prng.ts';
import { cutTail } from '../log/cut-tail.ts';
import { AloneWatch } from './alone-watch.ts';
import type { AttachedShard } from './attached-shard.ts';
import type { SideOptions } from './master-side.ts';
import { encodeOpening, OPENING_STREAM } from './opening.ts';
import type { HostAndPort, ShardReplicationStatus } from './replication-messages.ts';
import { SlaveLink, type SlaveOutcome } from './slave-link.ts';
import { dial, type SocketLink } from './socket-link.ts';

/** Milliseconds between two attempts to reach the master: the first, and the longest; each is longer than the one before. */
const DIAL_MS_MIN = 50;
const DIAL_MS_MAX = 2000;
const REFUSED_MS = 2000;

/** Why the shard is closed. */
type Task = { readonly kind: 'cut'; readonly position: number } | { readonly kind: 'replace' };

export type SlaveEvents = {
  readonly closeShard: (shard: number) => void;
  readonly openShard: (shard: number) => void;
  readonly following: (epoch: number, masterAddress: string) => void;
};

class FollowingShard {
  attached: AttachedShard | undefined;
  alone: AloneWatch | undefined;
  link: SlaveLink | undefined;
  socket: SocketLink | undefined;
  /** The shard is to be closed, or is closed, for this. */
  task: Task | undefined;
  isReplacing = false;
  isDialling = false;
  dialAtMs = 0;
  pauseMs = DIAL_MS_MIN;
  phase = '';
  refusal = '';
  end = 0;
}

export class SlaveSide {
  refusals = 0;
  private readonly options: SideOptions;
  private readonly events: SlaveEvents;
  private readonly shards: readonly FollowingShard[];
  private readonly prng: Prng;
  private peer: HostAndPort | undefined;
  private isStopping = false;

  constructor(options: SideOptions, events: SlaveEvents) {
    this.options = options;
    this.events = events;
    this.peer = options.data.peer;
    this.prng = seededPrng(new DataView(options.nonce().slice().buffer).getUint32(0, true));
    this.shards = options.data.directories.map(() => new FollowingShard());
  }

  attach(attached: AttachedShard): void {
    const one = this.one(attached.shard);
    one.attached = attached;
    one.alone = new AloneWatch(attached.memory, this.options.clock.monotonicMs());
    one.isReplacing = false;
    one.task = undefined;
    this.dialSoon(one);
  }

  /** The shard is closed: by itself, or because its log is to be changed, which happens now. */
  detach(shard: number): void {
    const one = this.one(shard);
    const { task, attached } = one;
    one.end = attached?.memory.appended.observe() ?? one.end;
    one.attached = undefined;
    one.alone = undefined;
    one.link?.onClosed();
    one.link = undefined;
    one.socket = undefined;
    if (task?.kind === 'cut') this.cut(shard, one, task.position);
    else if (task?.kind === 'replace') {
      one.isReplacing = true;
      this.options.notice('warn', 'log-replaced', { shard, bytes: one.end });
      this.dialSoon(one);
    }
  }

  follow(peer: HostAndPort): void {
    if (this.peer?.host === peer.host && this.peer.port === peer.port) return;
    this.peer = peer;
    for (const one of this.shards) {
      one.socket?.close();
      this.dialSoon(one);
    }
  }

  doWork(): number {
    const nowMs = this.options.clock.monotonicMs();
    let work = 0;
    for (const [shard, one] of this.shards.entries()) {
      if (one.link === undefined) this.dial(shard, one, nowMs);
      else work += this.turn(shard, one, one.link, nowMs);
      this.watch(shard, one, nowMs);
      one.attached?.tell();
    }
    return work;
  }

  msUntilDue(): number {
    const nowMs = this.options.clock.monotonicMs();
    let dueMs = 100;
    for (const one of this.shards) {
      if (one.link?.isHolding === true) dueMs = 1;
      else if (one.link === undefined && !one.isDialling && this.canDial(one))
        dueMs = Math.min(dueMs, one.dialAtMs - nowMs);
    }
    return Math.max(1, dueMs);
  }

  status(): readonly ShardReplicationStatus[] {
    return this.shards.map((one, shard) => ({
      shard,
      state: one.isReplacing
        ? 'replacing'
        : one.attached === undefined
          ? 'detached'
          : (one.link?.phase ?? 'dialling'),
      replicated: one.attached?.memory.replicated.observe() ?? 0,
      logEpoch: one.attached?.logEpoch ?? -1,
      slaves: [],
      refusal: one.refusal,
    }));
  }

  close(): void {
    this.isStopping = true;
    for (const { socket } of this.shards) socket?.close();
  }

  private one(shard: number): FollowingShard {
    return this.shards[shard] as FollowingShard;
  }

  private dialSoon(one: FollowingShard): void {
    one.pauseMs = DIAL_MS_MIN;
    one.dialAtMs = 0;
    this.options.schedule();
  }

  private canDial(one: FollowingShard): boolean {
    if (this.peer === undefined || this.isStopping) return false;
    return one.isReplacing || (one.attached !== undefined && one.task === undefined);
  }

  private watch(shard: number, one: FollowingShard, nowMs: number): void {
    const isMet = one.link?.isMet === true || one.refusal !== '' || one.task !== undefined;
    if (one.alone?.note(isMet, nowMs) !== true || this.isStopping) return;
    this.options.notice('warn', 'serves-alone', { shard });
  }

  private dial(shard: number, one: FollowingShard, nowMs: number): void {
    if (one.isDialling || nowMs < one.dialAtMs || !this.canDial(one)) return;
    one.isDialling = true;
    one.dialAtMs = nowMs + one.pauseMs * (0.5 + this.prng.integer(1000) / 1000);
    one.pauseMs = Math.min(one.pauseMs * 2, DIAL_MS_MAX);
    dial(this.peer as HostAndPort, this.options.schedule, (socket) => {
      one.isDialling = false;
      if (socket === undefined) return;
      if (this.canDial(one)) this.connect(shard, one, socket);
      else socket.close();
    });
  }

  private connect(shard: number, one: FollowingShard, socket: SocketLink): void {
    const { data, clock, nonce, storageOf } = this.options;
    const { attached } = one;
    const local =
      attached === undefined
        ? undefined
        : {
            ...{ memory: attached.memory, source: attached.source, door: attached.door },
            isSyncFlush: data.isSyncFlush,
          };
    socket.send(encodeOpening({ kind: OPENING_STREAM, shard }));
    const link = new SlaveLink({
      ...{ link: socket, name: data.name, secret: data.secret, shard, local },
      ...{ shards: data.directories.length, storage: storageOf(shard), nonce: nonce() },
      shape: { segmentBytes: data.segmentBytes, chunkBytes: data.chunkBytes },
      nowMs: clock.monotonicMs(),
    });
    one.link = link;
    one.socket = socket;
    socket.use({
      receive: (bytes) => link.receive(bytes),
      canReceive: () => link.canReceive,
      closed: () => link.onClosed(),
    });
  }

  private turn(shard: number, one: FollowingShard, link: SlaveLink, nowMs: number): number {
    let work = 0;
    try {
      work = link.doWork(nowMs);
    } catch (error) {
      const reason = toSluiceError(error).message;
      this.options.notice('error', 'replication-disk-failed', { shard, reason });
      link.onClosed();
    }
    this.noticePhase(shard, one, link);
    if (link.outcome !== undefined) this.react(shard, one, link.outcome, nowMs);
    else one.socket?.resume();
    return work;
  }

  private noticePhase(shard: number, one: FollowingShard, link: SlaveLink): void {
    if (link.phase === one.phase) return;
    one.phase = link.phase;
    if (link.phase !== 'streaming') return;
    one.pauseMs = DIAL_MS_MIN;
    one.refusal = '';
    one.attached?.noteEpoch(link.epoch);
    this.options.notice('info', 'following', { shard, epoch: link.epoch });
    this.events.following(link.epoch, link.masterAddress);
  }

  private react(shard: number, one: FollowingShard, outcome: SlaveOutcome, nowMs: number): void {
    one.link = undefined;
    one.socket = undefined;
    one.phase = '';
    switch (outcome.kind) {
      case 'cut':
      case 'replace':
        one.task = outcome;
        this.events.closeShard(shard);
        return;
      case 'replaced':
        one.isReplacing = false;
        this.events.openShard(shard);
        return;
      case 'refused':
        this.refusals += 1;
        one.refusal = outcome.text;
        one.dialAtMs = nowMs + REFUSED_MS;
        this.options.notice('error', 'refused-by-master', { shard, reason: outcome.text });
        return;
      case 'lost':
        return;
    }
  }

  private cut(shard: number, one: FollowingShard, position: number): void {
    const { storageOf, data, notice } = this.options;
    try {
      const { segmentBytes } = data;
      const end = cutTail(storageOf(shard), { position, end: one.end, segmentBytes });
      notice('warn', 'tail-in-quarantine', { shard, from: end, to: one.end });
    } catch (error) {
      // The next opening finishes what was begun; what was not begun is demanded again.
      notice('error', 'cut-failed', { shard, reason: toSluiceError(error).message });
    }
    this.events.openShard(shard);
  }
}
