/**
 * A network between two processes that can be cut: TCP connections go through it, and while it is cut no byte passes in
 * either direction and nobody is told, as when a cable is pulled.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

const HOST = '127.0.0.1';

export class ByteProxy {
  readonly port: number;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private isCut = false;

  private constructor(server: Server, targetPort: number) {
    this.server = server;
    this.port = (server.address() as { readonly port: number }).port;
    server.on('connection', (near) => this.join(near, targetPort));
  }

  /** @param targetPort - of this machine */
  static async open(targetPort: number): Promise<ByteProxy> {
    const server = createServer({ pauseOnConnect: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, HOST, resolve);
    });
    return new ByteProxy(server, targetPort);
  }

  /** Nothing passes from now on. */
  cut(): void {
    this.isCut = true;
    for (const socket of this.sockets) socket.pause();
  }

  /** Everything passes again, also what was sent meanwhile. */
  heal(): void {
    this.isCut = false;
    for (const socket of this.sockets) socket.resume();
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }

  private join(near: Socket, targetPort: number): void {
    const far = connect(targetPort, HOST);
    this.pass(near, far);
    this.pass(far, near);
  }

  private pass(from: Socket, to: Socket): void {
    this.sockets.add(from);
    from.setNoDelay(true);
    from.on('data', (bytes) => {
      if (!to.destroyed && !to.write(bytes)) from.pause();
    });
    to.on('drain', () => {
      if (!this.isCut) from.resume();
    });
    from.on('error', () => {});
    from.on('close', () => {
      this.sockets.delete(from);
      to.destroy();
    });
    if (this.isCut) from.pause();
    else from.resume();
  }
}
