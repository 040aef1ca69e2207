/**
 * A network between two processes that can be cut: TCP connections go through it, and while it is cut no byte passes in
 * either direction and nobody is told, as when a cable is pulled.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { SluiceError } from '../base/errors.ts';

const HOST = '127.0.0.1';
/** Further addresses of this machine alone: the first is Linux's, the second everybody's who has IPv6. */
const OTHER_HOSTS = ['127.0.0.2', '::1'] as const;

export class ByteProxy {
  readonly host: string;
  readonly port: number;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private isCut = false;

  private constructor(server: Server, targetPort: number) {
    const address = server.address() as AddressInfo;
    this.server = server;
    this.host = address.address;
    this.port = address.port;
    server.on('connection', (near) => this.join(near, targetPort));
  }

  /** @param targetPort - of this machine */
  static open(targetPort: number): Promise<ByteProxy> {
    return ByteProxy.listen(HOST, 0, targetPort);
  }

  /**
   * One with the same port at another address of this machine, for a target that tells others that address and its own port.
   *
   * @throws INVALID_ARGUMENT when this machine has no such address
   */
  static async beside(targetPort: number): Promise<ByteProxy> {
    const failures: string[] = [];
    for (const host of OTHER_HOSTS) {
      try {
        return await ByteProxy.listen(host, targetPort, targetPort);
      } catch (error) {
        failures.push((error as Error).message);
      }
    }
    throw new SluiceError('INVALID_ARGUMENT', `nothing can stand between: ${failures.join('; ')}`, {
      hint: 'A partition needs a second address of this machine: 127.0.0.2, or IPv6.',
    });
  }

  private static async listen(host: string, port: number, targetPort: number): Promise<ByteProxy> {
    const server = createServer({ pauseOnConnect: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    return new ByteProxy(server, targetPort);
  }

  /** `host:port`, an IPv6 address in brackets. */
  get address(): string {
    return this.host.includes(':') ? `[${this.host}]:${this.port}` : `${this.host}:${this.port}`;
  }

  /** Connections that go through it. */
  get connections(): number {
    return this.sockets.size / 2;
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
