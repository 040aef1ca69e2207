/**
 * Replication of a master: the HA port, one `MasterShard` a shard, and the question to its peer who reigns. Connections say
 * first which shard they are about; one for a shard that does not run is closed and comes again. Replication thread.
 */

import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { startTimer } from '../base/clock.ts';
import { GATE_FENCED, GATE_NO_SLAVE, GATE_OPEN } from '../log/log-memory.ts';
import type { Storage } from '../log/storage.ts';
import type { AttachedShard } from './attached-shard.ts';
import { MasterShard } from './master-shard.ts';
import { decodeOpening, encodeOpening, OPENING_BYTES, OPENING_REIGN } from './opening.ts';
import { ReignCall } from './reign-call.ts';
import type { ReplicaLink } from './replica-link.ts';
import type {
  HostAndPort,
  ReplicationWorkerData,
  ShardReplicationStatus,
} from './replication-messages.ts';
import { dial, SocketLink } from './socket-link.ts';

/** Connections that have not said what they are about. */
const STRANGERS_MAX = 64;
const STRANGER_TIMEOUT_MS = 5000;
/** Milliseconds between two questions to the peer who reigns, and until one counts as not answered. */
const REIGN_INTERVAL_MS = 2000;
const REIGN_TIMEOUT_MS = 2000;

export type SideOptions = {
  readonly data: ReplicationWorkerData;
  readonly clock: Clock;
  readonly storageOf: (shard: number) => Storage;
  readonly schedule: () => void;
  readonly nonce: () => Uint8Array;
  readonly notice: (
    level: 'info' | 'warn' | 'error',
    event: string,
    facts: Readonly<Record<string, string | number>>,
  ) => void;
};

type Held = {
  readonly attached: AttachedShard;
  readonly master: MasterShard;
  readonly sockets: Map<ReplicaLink, SocketLink>;
  readonly known: Map<ReplicaLink, string>;
  refusal: string;
};

export class MasterSide {
  refusals = 0;
  private readonly options: SideOptions;
  private readonly onFenced: (epoch: number) => void;
  private readonly shards = new Map<number, Held>();
  private readonly server: Server;
  private strangers = 0;
  private fencedBy = 0;
  private peer: HostAndPort | undefined;
  private askAtMs = 0;
  private isAsking = false;
  private isStopping = false;
  private address = '';

  constructor(options: SideOptions, onFenced: (epoch: number) => void) {
    this.options = options;
    this.onFenced = onFenced;
    this.peer = options.data.peer;
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.accept(socket));
  }

  /** Asks the peer who reigns, then listens. @returns the port, and the peer's epoch when that is newer @throws what the port refuses */
  async start(): Promise<{ readonly port: number; readonly newerEpoch: number }> {
    const epoch = await this.ask();
    const newerEpoch = epoch > this.options.data.epoch ? epoch : 0;
    const { host, port } = this.options.data.listen;
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen({ host, port, exclusive: true }, () => resolve());
    });
    this.server.on('error', () => {});
    return { port: (this.server.address() as AddressInfo).port, newerEpoch };
  }

  attach(attached: AttachedShard): void {
    const { data, clock, storageOf, nonce } = this.options;
    const { shard } = attached;
    const held: Held = {
      attached,
      master: new MasterShard({
        ...{ shard, shards: data.directories.length, epoch: data.epoch, name: data.name },
        ...{ secret: data.secret, isSyncMaster: data.isSyncMaster, clock, nonce },
        ...{ inSyncReplicas: data.inSyncReplicas, isSyncFlush: data.isSyncFlush },
        fallBehindBytesMax: data.fallBehindBytesMax,
        ...{ memory: attached.memory, source: attached.source, storage: storageOf(shard) },
        door: attached.door,
        address: () => this.address,
        onRefused: (text) => this.refused(shard, text),
        onUnheard: (names) =>
          this.options.notice('warn', 'slaves-not-heard', { shard, slaves: names.join(', ') }),
      }),
      sockets: new Map(),
      known: new Map(),
      refusal: '',
    };
    if (this.fencedBy > 0) held.master.fence(this.fencedBy);
    this.shards.set(shard, held);
  }

  detach(shard: number): void {
    const held = this.shards.get(shard);
    this.shards.delete(shard);
    for (const link of held?.master.links ?? []) link.close();
  }

  setAddress(address: string): void {
    this.address = address;
  }

  follow(peer: HostAndPort): void {
    this.peer = peer;
  }

  resumeWrites(): void {
    for (const { master } of this.shards.values()) master.resumeWrites();
  }

  doWork(): number {
    let work = 0;
    for (const held of this.shards.values()) {
      const { master, attached, sockets } = held;
      work += master.doWork();
      attached.tell();
      this.noticePhases(held);
      for (const [link, socket] of sockets) {
        if (link.isClosed) sockets.delete(link);
        else socket.resume();
      }
      if (master.fencedBy > this.fencedBy) this.fence(master.fencedBy);
    }
    const nowMs = this.options.clock.monotonicMs();
    if (this.peer !== undefined && !this.isAsking && nowMs >= this.askAtMs && this.fencedBy === 0) {
      void this.ask().then((epoch) => {
        if (epoch > this.options.data.epoch) this.fence(epoch);
      });
    }
    return work;
  }

  /** Milliseconds until `doWork` is needed though nothing has come. */
  msUntilDue(): number {
    for (const { master } of this.shards.values())
      if (master.links.some((link) => link.isHolding)) return 1;
    return 100;
  }

  /** Have all slaves that follow everything? */
  isDrained(): boolean {
    for (const { master } of this.shards.values()) {
      const safe = master.safe();
      if (master.links.some((link) => link.phase === 'streaming' && link.acked < safe))
        return false;
    }
    return true;
  }

  status(): readonly ShardReplicationStatus[] {
    return [...this.shards.values()].map(({ attached, master, refusal }) => ({
      shard: attached.shard,
      state: gateName(attached.memory.gate()),
      replicated: attached.memory.replicated.observe(),
      logEpoch: attached.logEpoch,
      slaves: master.links
        .filter((link) => link.name !== '')
        .map((link) => ({
          ...{ name: link.name, phase: link.phase, sent: link.sent, acked: link.acked },
          lagBytes: Math.max(0, master.safe() - Math.max(0, link.acked)),
        })),
      refusal,
    }));
  }

  close(): void {
    this.isStopping = true;
    this.server.close();
    for (const shard of [...this.shards.keys()]) this.detach(shard);
  }

  private accept(socket: Socket): void {
    const link = new SocketLink(socket, this.options.schedule);
    if (this.isStopping || this.strangers >= STRANGERS_MAX) {
      link.close();
      return;
    }
    this.strangers += 1;
    let isStranger = true;
    let held: Uint8Array = new Uint8Array(0);
    const cancel = startTimer(STRANGER_TIMEOUT_MS, () => link.close());
    const known = (): void => {
      cancel();
      if (isStranger) this.strangers -= 1;
      isStranger = false;
    };
    link.use({
      receive: (bytes) => {
        held = joined(held, bytes);
        if (held.length < OPENING_BYTES) return;
        known();
        const opening = decodeOpening(held);
        const rest = held.subarray(OPENING_BYTES);
        if (opening === undefined) {
          this.refused(-1, 'a connection that does not speak this protocol');
          link.close();
        } else if (opening.kind === OPENING_REIGN) this.answer(link, rest);
        else this.hand(link, opening.shard, rest);
      },
      canReceive: () => isStranger,
      closed: known,
    });
  }

  /** A shard that this broker does not have is refused by the first that it has, which says why. */
  private hand(socket: SocketLink, shard: number, rest: Uint8Array): void {
    const { data } = this.options;
    const held = this.shards.get(shard < data.directories.length ? shard : 0);
    const replica = held?.master.accept(socket, isLoopbackAddress(socket.remoteAddress));
    if (held === undefined || replica === undefined) {
      socket.close();
      return;
    }
    held.sockets.set(replica, socket);
    replica.receive(rest);
    socket.use({
      receive: (bytes) => replica.receive(bytes),
      canReceive: () => replica.canReceive,
      closed: () => replica.close(),
    });
  }

  private answer(link: SocketLink, rest: Uint8Array): void {
    const { data, nonce } = this.options;
    if (data.secret === '' && !isLoopbackAddress(link.remoteAddress)) {
      this.refused(-1, 'a connection from another machine, and no credential is set');
      link.close();
      return;
    }
    const onEpoch = (epoch: number): void => {
      if (epoch > data.epoch) this.fence(epoch);
    };
    const { secret, epoch, name } = data;
    const call = new ReignCall({ link, secret, nonce: nonce(), epoch, name, onEpoch }, false);
    call.receive(rest);
    use(link, call);
  }

  /** @returns the epoch of the peer; 0 when it does not answer */
  private ask(): Promise<number> {
    const { data, nonce, schedule, clock } = this.options;
    const { peer } = this;
    if (peer === undefined) return Promise.resolve(0);
    this.isAsking = true;
    return new Promise<number>((resolve) => {
      const finish = (epoch: number): void => {
        this.isAsking = false;
        this.askAtMs = clock.monotonicMs() + REIGN_INTERVAL_MS;
        resolve(epoch);
      };
      startTimer(REIGN_TIMEOUT_MS, () => finish(0));
      dial(peer, schedule, (link) => {
        if (link === undefined) return finish(0);
        link.send(encodeOpening({ kind: OPENING_REIGN, shard: 0 }));
        const { secret, epoch, name } = data;
        const call = new ReignCall(
          { link, secret, nonce: nonce(), epoch, name, onEpoch: finish },
          true,
        );
        use(link, call);
      });
    });
  }

  private fence(epoch: number): void {
    if (epoch <= this.fencedBy) return;
    this.fencedBy = epoch;
    for (const { master } of this.shards.values()) master.fence(epoch);
    this.onFenced(epoch);
    this.options.schedule();
  }

  private refused(shard: number, text: string): void {
    this.refusals += 1;
    const held = this.shards.get(shard);
    if (held !== undefined) held.refusal = text;
    this.options.notice('warn', 'replication-refused', { shard, reason: text });
  }

  private noticePhases({ master, known, attached }: Held): void {
    for (const link of master.links) {
      if (link.name === '' || known.get(link) === link.phase) continue;
      known.set(link, link.phase);
      const facts = { shard: attached.shard, slave: link.name, phase: link.phase };
      this.options.notice('info', 'slave-connected', facts);
    }
    for (const [link] of known) {
      if (!link.isClosed) continue;
      known.delete(link);
      this.options.notice('info', 'slave-gone', { shard: attached.shard, slave: link.name });
    }
  }
}

function use(link: SocketLink, call: ReignCall): void {
  link.use({
    receive: (bytes) => call.receive(bytes),
    canReceive: () => call.canReceive,
    closed: () => call.close(),
  });
}

function gateName(gate: number): string {
  if (gate === GATE_OPEN) return 'open';
  if (gate === GATE_NO_SLAVE) return 'no-slave';
  return gate === GATE_FENCED ? 'fenced' : 'undecided';
}

function isLoopbackAddress(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

function joined(left: Uint8Array, right: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(left.length + right.length);
  bytes.set(left);
  bytes.set(right, left.length);
  return bytes;
}
