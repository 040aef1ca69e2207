/**
 * One TCP connection of replication: bytes as they come, no frames, because replication cuts them itself and allows a stranger
 * less than somebody who has proved who it is. Reads no further than its user takes, keeps a bounded amount for a peer that
 * does not read, and ends exactly once. Replication thread.
 */
import { connect, type Socket } from 'node:net';
import { type CancelTimer, startTimer } from '../base/clock.ts';
import { KIB, MIB } from '../base/units.ts';
import type { ByteLink } from './byte-link.ts';
import type { HostAndPort } from './replication-messages.ts';
import { DATA_RUN, RUN_BYTES_TARGET } from './transfer-layout.ts';

/** Bytes that wait for a peer before `send` refuses. One frame more may come on top. */
const SEND_BUFFER_BYTES: number = 4 * MIB;
/** Bytes of one read from a connection that was dialled, into memory that is used again. */
const READ_BYTES: number = 256 * KIB;
/** Frames from this size on are copied into memory that is used again: fresh memory costs more than the copy. */
const POOLED_BYTES_MIN: number = 64 * KIB;
/** Room for a frame with a run of the usual size. */
const RUN_FRAME_BYTES: number = DATA_RUN + RUN_BYTES_TARGET;
const CONNECT_TIMEOUT_MS = 3000;

export type SocketLinkUser = {
  /** @shape borrowed until the call returns */
  readonly receive: (bytes: Uint8Array) => void;
  readonly canReceive: () => boolean;
  readonly closed: () => void;
};

export class SocketLink implements ByteLink {
  readonly remoteAddress: string;
  private readonly socket: Socket;
  private readonly schedule: () => void;
  private readonly spare: Uint8Array[] = [];
  private user: SocketLinkUser | undefined;
  private isClosed = false;

  /** @param schedule - called whenever there may be something to do */
  constructor(socket: Socket, schedule: () => void) {
    this.socket = socket;
    this.schedule = schedule;
    this.remoteAddress = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    socket.setNoDelay(true);
    socket.pause();
    socket.on('data', (bytes: Uint8Array) => this.take(bytes));
    socket.on('drain', schedule);
    socket.on('end', () => this.close());
    socket.on('error', () => this.close());
    socket.on('close', () => this.close());
  }

  /** From now on bytes are read, for this user. */
  use(user: SocketLinkUser): void {
    this.user = user;
    if (this.isClosed) user.closed();
    else this.resume();
  }

  send(bytes: Uint8Array): boolean {
    if (this.isClosed) return true;
    if (this.socket.writableLength > SEND_BUFFER_BYTES) return false;
    // The bytes are only lent, and what the system does not take now is kept.
    if (bytes.length < POOLED_BYTES_MIN) this.socket.write(bytes.slice());
    else this.sendPooled(bytes);
    return true;
  }

  /** Sends what waits, then closes. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.socket.end();
    // Without a reader the end of the peer would never be seen.
    this.socket.resume();
    startTimer(CONNECT_TIMEOUT_MS, () => this.socket.destroy());
    this.user?.closed();
    this.schedule();
  }

  /** Reads on when the user takes more. Called once a duty cycle. */
  resume(): void {
    if (!this.isClosed && this.socket.isPaused() && this.user?.canReceive() === true)
      this.socket.resume();
  }

  /** What the connection has brought. @shape borrowed until the call returns */
  take(bytes: Uint8Array): void {
    if (this.isClosed || this.user === undefined) return;
    this.user.receive(bytes);
    if (!this.user.canReceive()) this.socket.pause();
    this.schedule();
  }

  /** Memory is taken back when the system has the bytes; there is never more of it than may wait. */
  private sendPooled(bytes: Uint8Array): void {
    const found = this.spare.pop();
    const memory = found !== undefined && found.length >= bytes.length ? found : undefined;
    const buffer = memory ?? new Uint8Array(Math.max(bytes.length, RUN_FRAME_BYTES));
    buffer.set(bytes);
    this.socket.write(buffer.subarray(0, bytes.length), () => {
      if (!this.isClosed) this.spare.push(buffer);
    });
  }
}

/** @param done - with the connection, or undefined when there is none */
export function dial(
  { host, port }: HostAndPort,
  schedule: () => void,
  done: (link: SocketLink | undefined) => void,
): void {
  let link: SocketLink | undefined;
  const onread = {
    buffer: new Uint8Array(READ_BYTES),
    callback: (length: number, buffer: Uint8Array): boolean => {
      link?.take(buffer.subarray(0, length));
      return true;
    },
  };
  const socket = connect({ host, port, onread });
  let cancel: CancelTimer = () => {};
  const finish = (opened: SocketLink | undefined): void => {
    cancel();
    done(opened);
    schedule();
  };
  const giveUp = (): void => {
    socket.removeAllListeners();
    // Whatever else it says of itself concerns nobody, and must not end the thread.
    socket.on('error', () => {});
    socket.destroy();
    finish(undefined);
  };
  cancel = startTimer(CONNECT_TIMEOUT_MS, giveUp);
  socket.once('error', giveUp);
  socket.once('connect', () => {
    // The link takes the listeners over before the old one goes: an error without one would end the thread.
    link = new SocketLink(socket, schedule);
    socket.off('error', giveUp);
    finish(link);
  });
}
