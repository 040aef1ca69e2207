/**
 * One TCP connection of replication: bytes as they come, no frames, because replication cuts them itself and allows a stranger
 * less than somebody who has proved who it is. Reads no further than its user takes, keeps a bounded amount for a peer that
 * does not read, and ends exactly once. Replication thread.
 */
import { connect, type Socket } from 'node:net';
import { type CancelTimer, startTimer } from '../base/clock.ts';
import { MIB } from '../base/units.ts';
import type { ByteLink } from './byte-link.ts';
import type { HostAndPort } from './replication-messages.ts';

/** Bytes that wait for a peer before `send` refuses. One frame more may come on top. */
const SEND_BUFFER_BYTES: number = 4 * MIB;
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
    this.socket.write(bytes.slice());
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

  private take(bytes: Uint8Array): void {
    if (this.isClosed || this.user === undefined) return;
    this.user.receive(bytes);
    if (!this.user.canReceive()) this.socket.pause();
    this.schedule();
  }
}

/** @param done - with the connection, or undefined when there is none */
export function dial(
  { host, port }: HostAndPort,
  schedule: () => void,
  done: (link: SocketLink | undefined) => void,
): void {
  const socket = connect({ host, port });
  let cancel: CancelTimer = () => {};
  const finish = (link: SocketLink | undefined): void => {
    cancel();
    socket.removeAllListeners('error');
    if (link === undefined) {
      socket.on('error', () => {});
      socket.destroy();
    }
    done(link);
    schedule();
  };
  cancel = startTimer(CONNECT_TIMEOUT_MS, () => finish(undefined));
  socket.once('error', () => finish(undefined));
  socket.once('connect', () => {
    cancel();
    socket.removeAllListeners('error');
    finish(new SocketLink(socket, schedule));
  });
}
