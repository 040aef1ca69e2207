/**
 * Stands between a client of RocketMQ and a NameServer or broker, hands every byte on, and shows each whole frame. It can
 * write one address for another of the same length in what servers say, so that a client that learns an address from a
 * route comes by here too.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { SluiceError } from '../base/errors.ts';
import { FRAME_HEAD_BYTES, frameBytes } from '../protocol/remoting/frame-layout.ts';

/** One frame, a copy, and whether a client wrote it. */
export type FrameListener = (frame: Uint8Array, isFromClient: boolean) => void;

export type RecordingProxyOptions = {
  readonly port: number;
  /** Where bytes go. */
  readonly targetPort: number;
  readonly heard: FrameListener;
  /** What servers say → what clients are told; of the same length. */
  readonly rewrite?: readonly [from: string, to: string];
};

export class RecordingProxy {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  private constructor(options: RecordingProxyOptions) {
    const { rewrite = ['', ''] } = options;
    if (rewrite[0].length !== rewrite[1].length)
      throw new SluiceError('INVALID_ARGUMENT', 'both addresses must have the same length');
    this.server = createServer((client) => {
      const upstream = connect(options.targetPort, '127.0.0.1');
      this.join(client, upstream, cutter(options.heard, true));
      this.join(upstream, client, cutter(options.heard, false), rewrite);
    });
  }

  static start(options: RecordingProxyOptions): Promise<RecordingProxy> {
    const proxy = new RecordingProxy(options);
    return new Promise((resolve, reject) => {
      proxy.server.once('error', reject);
      proxy.server.listen(options.port, '127.0.0.1', () => resolve(proxy));
    });
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private join(
    from: Socket,
    to: Socket,
    heard: (bytes: Uint8Array) => void,
    [old, fresh]: readonly [string, string] = ['', ''],
  ): void {
    this.sockets.add(from);
    from.on('data', (chunk: Buffer) => {
      heard(chunk);
      if (old !== '') replaceIn(chunk, old, fresh);
      to.write(chunk);
    });
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.sockets.delete(from);
      to.destroy();
    });
  }
}

/** An address that is split between two chunks is not found; answers with routes are one chunk each. */
function replaceIn(chunk: Buffer, old: string, fresh: string): void {
  for (let at = chunk.indexOf(old); at >= 0; at = chunk.indexOf(old, at + fresh.length))
    chunk.write(fresh, at, 'latin1');
}

/** Gathers the chunks of one direction and tells each whole frame. */
function cutter(heard: FrameListener, isFromClient: boolean): (bytes: Uint8Array) => void {
  let rest: Uint8Array = new Uint8Array(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= FRAME_HEAD_BYTES) {
      const length = frameBytes(rest, 0);
      if (length <= 0) throw new SluiceError('BAD_FRAME', 'a peer does not speak remoting');
      if (rest.length < length) return;
      heard(rest.slice(0, length), isFromClient);
      rest = rest.slice(length);
    }
  };
}
