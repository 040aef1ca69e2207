/**
 * A network in one thread: connections between named nodes that deliver in order, late, in pieces of any size, or not at all.
 * A direction between two nodes can be cut: bytes and the news of a close are then lost or held, as on a real network, and the
 * ends learn of it by silence. All from one seed; nothing here waits for real time.
 */
import type { Clock } from '../base/clock.ts';
import type { Prng } from '../base/prng.ts';
import type { ByteLink } from '../replication/byte-link.ts';

/** Bytes that a direction of a connection holds. */
const PIPE_BYTES_MAX = 131_072;

type Parcel = { bytes: Uint8Array; readonly dueAtMs: number };

/** One end of a connection. */
export class SimSocket implements ByteLink {
  readonly node: string;
  readonly peerNode: string;
  /** The other end. */
  peer: SimSocket | undefined;
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClose: () => void = () => {};
  /** False: what comes waits, as in a socket that is not read. */
  canReceive: () => boolean = () => true;
  isOpen = true;
  /** On its way to this end. */
  readonly arriving: Parcel[] = [];
  arrivingBytes = 0;
  /** When this end hears that the other has closed; Infinity: it has not, or the news is lost. */
  closeAtMs: number = Number.POSITIVE_INFINITY;
  private readonly network: SimNetwork;

  constructor(network: SimNetwork, node: string, peerNode: string) {
    this.network = network;
    this.node = node;
    this.peerNode = peerNode;
  }

  send(bytes: Uint8Array): boolean {
    if (!this.isOpen || this.peer === undefined) return true;
    return this.network.transmit(this, this.peer, bytes);
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.network.onClosed(this);
  }
}

export class SimNetwork {
  /** Mean milliseconds on the way. */
  delayMs = 1;
  private readonly prng: Prng;
  private readonly clock: Clock;
  private readonly sockets = new Set<SimSocket>();
  /** Directions that carry nothing: `from>to`. */
  private readonly cuts = new Set<string>();
  private readonly listeners = new Map<string, (socket: SimSocket) => void>();

  constructor(prng: Prng, clock: Clock) {
    this.prng = prng;
    this.clock = clock;
  }

  listen(node: string, onConnection: ((socket: SimSocket) => void) | undefined): void {
    if (onConnection === undefined) this.listeners.delete(node);
    else this.listeners.set(node, onConnection);
  }

  /** @returns undefined when nobody answers there, or the way is cut in either direction */
  connect(from: string, to: string): SimSocket | undefined {
    const listener = this.listeners.get(to);
    if (listener === undefined || this.isCut(from, to) || this.isCut(to, from)) return undefined;
    const near = new SimSocket(this, from, to);
    const far = new SimSocket(this, to, from);
    near.peer = far;
    far.peer = near;
    this.sockets.add(near);
    this.sockets.add(far);
    listener(far);
    return near;
  }

  cut(from: string, to: string): void {
    this.cuts.add(`${from}>${to}`);
  }

  heal(): void {
    this.cuts.clear();
  }

  get isWhole(): boolean {
    return this.cuts.size === 0;
  }

  /** The process of a node is gone: its ends are closed, and the others hear of it, unless the way is cut. */
  drop(node: string): void {
    for (const socket of [...this.sockets]) if (socket.node === node) socket.close();
    this.listeners.delete(node);
  }

  /** Breaks a connection in the middle: both ends hear of it, and what was on its way is lost. */
  breakOne(): void {
    const all = [...this.sockets].filter((socket) => socket.isOpen);
    const socket = all[this.prng.integer(all.length)];
    if (socket === undefined) return;
    socket.arriving.length = 0;
    socket.arrivingBytes = 0;
    socket.close();
    socket.onClose();
  }

  /** Delivers what is due. @returns parcels delivered */
  step(): number {
    const nowMs = this.clock.monotonicMs();
    let delivered = 0;
    for (const socket of [...this.sockets]) {
      if (!socket.isOpen) {
        this.sockets.delete(socket);
        continue;
      }
      if (this.isCut(socket.peerNode, socket.node)) continue;
      delivered += this.deliver(socket, nowMs);
      if (socket.arriving.length === 0 && socket.closeAtMs <= nowMs && socket.isOpen) {
        socket.isOpen = false;
        socket.onClose();
      }
    }
    return delivered;
  }

  /** Takes all or nothing. Called by a socket. */
  transmit(from: SimSocket, to: SimSocket, bytes: Uint8Array): boolean {
    if (to.arrivingBytes > 0 && to.arrivingBytes + bytes.length > PIPE_BYTES_MAX) return false;
    // Nobody tells a sender that the other side has gone: bytes vanish.
    if (!to.isOpen) return true;
    const earliest = to.arriving.at(-1)?.dueAtMs ?? 0;
    const dueAtMs = this.clock.monotonicMs() + this.prng.next() * 2 * this.delayMs;
    to.arriving.push({ bytes: bytes.slice(), dueAtMs: Math.max(earliest, dueAtMs) });
    to.arrivingBytes += bytes.length;
    return from.isOpen;
  }

  onClosed(socket: SimSocket): void {
    const { peer } = socket;
    if (peer === undefined) return;
    // Through a cut way no news comes: the other end is half open until it gives up by itself.
    if (this.isCut(socket.node, peer.node)) return;
    peer.closeAtMs = this.clock.monotonicMs() + this.prng.next() * 2 * this.delayMs;
    // Of what was on its way a part may still arrive.
    if (this.prng.chance(0.5)) {
      peer.arriving.length = 0;
      peer.arrivingBytes = 0;
    }
  }

  private deliver(socket: SimSocket, nowMs: number): number {
    let delivered = 0;
    while (socket.isOpen && socket.canReceive()) {
      const parcel = socket.arriving[0];
      if (parcel === undefined || parcel.dueAtMs > nowMs) break;
      const isWhole = this.prng.chance(0.8);
      const length = isWhole ? parcel.bytes.length : 1 + this.prng.integer(parcel.bytes.length);
      socket.arrivingBytes -= length;
      const part = parcel.bytes.subarray(0, length);
      if (length === parcel.bytes.length) socket.arriving.shift();
      else parcel.bytes = parcel.bytes.subarray(length);
      socket.onBytes(part);
      delivered += 1;
      if (!isWhole) break;
    }
    return delivered;
  }

  private isCut(from: string, to: string): boolean {
    return this.cuts.has(`${from}>${to}`);
  }
}
