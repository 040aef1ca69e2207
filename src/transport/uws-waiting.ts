/**
 * The HTTP sockets of uWebSockets.js that wait for a request, by address, and what is still certain of them after one
 * of them went away without being named. Event-loop thread of the front door.
 */

/** What is kept on a socket. */
export interface WaitingSocket {
  readonly address: string;
  /** `losses` of its address when it began to wait. Written here only. */
  lossesBefore: number;
}

type SocketsOfAddress<Socket> = { readonly sockets: Set<Socket>; losses: number };

export class UwsWaiting<Socket extends WaitingSocket> {
  private readonly byAddress: Map<string, SocketsOfAddress<Socket>> = new Map();

  add(socket: Socket): void {
    let waiting = this.byAddress.get(socket.address);
    if (waiting === undefined) {
      waiting = { sockets: new Set(), losses: 0 };
      this.byAddress.set(socket.address, waiting);
    }
    waiting.sockets.add(socket);
    socket.lossesBefore = waiting.losses;
  }

  delete(socket: Socket): void {
    const waiting = this.byAddress.get(socket.address);
    if (waiting === undefined) return;
    waiting.sockets.delete(socket);
    if (waiting.sockets.size === 0) this.byAddress.delete(socket.address);
  }

  /** Is this socket known to wait still, so that it may be touched? */
  isCertain(socket: Socket): boolean {
    const waiting = this.byAddress.get(socket.address);
    return waiting?.sockets.has(socket) === true && waiting.losses === socket.lossesBefore;
  }

  /** The socket of this address that waits, where it is the only one. */
  only(address: string): Socket | undefined {
    const waiting = this.byAddress.get(address);
    if (waiting === undefined || waiting.sockets.size > 1) return undefined;
    const [only] = waiting.sockets;
    return only;
  }

  /**
   * One socket of this address does not wait any more, without having said which.
   * @returns the socket, where only one waited; then it is deleted
   */
  lose(address: string): Socket | undefined {
    const only = this.only(address);
    const waiting = this.byAddress.get(address);
    if (only !== undefined) this.byAddress.delete(address);
    else if (waiting !== undefined) waiting.losses += 1;
    return only;
  }
}
