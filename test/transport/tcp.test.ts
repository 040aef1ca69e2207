/** The TCP listener and its connections on real sockets: frames, answers, back-pressure, limits, and why each ends. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { FRAME_REFUSED, type FrameRule } from '../../src/transport/frame-cutter.ts';
import type {
  TcpCloseReason,
  TcpConnection,
  TcpHandler,
  TcpListener,
  TcpListenerOptions,
} from '../../src/transport/tcp.ts';
import { connectTcp, openTcpListener } from '../../src/transport/tcp-open.ts';

/** A byte of length, then so many bytes; a length of 255 is none. */
const RULE: FrameRule = {
  headBytes: 1,
  frameBytes: (bytes, start) => {
    const length = bytes[start] as number;
    return length === 255 ? FRAME_REFUSED : length + 1;
  },
};
const LIMITS = {
  idleTimeoutMs: 60_000,
  partialBytesMax: 1 << 20,
  sendBufferBytesMax: 1 << 16,
  connectionsMax: 100,
  connectionsPerAddressMax: 100,
};

type Rig = {
  readonly listener: TcpListener;
  readonly connections: TcpConnection[];
  readonly frames: string[];
  /** Resolves with the reason of the next connection that ends. */
  readonly ended: () => Promise<TcpCloseReason>;
  readonly dial: () => Promise<Socket>;
};

async function rig(
  t: TestContext,
  handler: Partial<TcpHandler> = {},
  limits: Partial<TcpListenerOptions['limits']> = {},
): Promise<Rig> {
  const connections: TcpConnection[] = [];
  const frames: string[] = [];
  const endings: TcpCloseReason[] = [];
  let wake: () => void = () => {};
  const listener = await openTcpListener({
    host: '127.0.0.1',
    port: 0,
    rule: RULE,
    limits: { ...LIMITS, ...limits },
    handler: {
      open: (connection) => connections.push(connection),
      frame: (connection, frame) => {
        frames.push(Buffer.from(frame.subarray(1)).toString());
        connection.send(frame.slice());
      },
      drained: () => {},
      closed: (_, reason) => {
        endings.push(reason);
        wake();
      },
      ...handler,
    },
  });
  t.after(() => listener.close());
  const ended = async (): Promise<TcpCloseReason> => {
    while (endings.length === 0)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    return endings.shift() as TcpCloseReason;
  };
  const dial = async (): Promise<Socket> => {
    const socket = connect(listener.port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  };
  return { listener, connections, frames, ended, dial };
}

async function read(socket: Socket, bytes: number): Promise<Buffer> {
  let got = Buffer.alloc(0);
  while (got.length < bytes) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    got = Buffer.concat([got, chunk]);
  }
  return got;
}

/** Something else on the same event loop: after some round trips, what could be read from other sockets was read. */
async function roundTripper(t: TestContext): Promise<() => Promise<void>> {
  const { dial } = await rig(t);
  const socket = await dial();
  return async () => {
    for (let count = 0; count < 20; count += 1) {
      socket.write(Buffer.from('\x04ping'));
      await read(socket, 5);
    }
  };
}

const frame = (text: string): Buffer => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);

describe('a TCP connection', () => {
  it('cuts frames and sends answers in their order', async (t) => {
    const { frames, dial, connections } = await rig(t);
    const socket = await dial();
    socket.write(Buffer.concat([frame('one'), frame('two'), frame('three').subarray(0, 2)]));
    assert.equal((await read(socket, 8)).toString('latin1'), '\x03one\x03two');
    socket.write(frame('three').subarray(2));
    assert.equal((await read(socket, 6)).toString('latin1'), '\x05three');
    assert.deepEqual(frames, ['one', 'two', 'three']);
    const [connection] = connections;
    assert.equal(connection?.remoteAddress, '127.0.0.1');
    assert.equal(connection?.remotePort, socket.localPort);
    assert.equal(connection?.localPort, socket.remotePort);
    assert.equal(connection?.id, 1);
  });

  it('sends what it has to a peer that has closed its side', async (t) => {
    const { dial, ended } = await rig(t);
    const socket = await dial();
    socket.end(frame('last'));
    assert.equal((await read(socket, 5)).toString('latin1'), '\x04last');
    assert.equal(await ended(), 'peer');
  });

  it('ends for bytes that are no frame, after the answers before them', async (t) => {
    const { dial, ended, listener } = await rig(t);
    const socket = await dial();
    socket.write(Buffer.concat([frame('fine'), Buffer.of(255)]));
    assert.equal((await read(socket, 5)).toString('latin1'), '\x04fine');
    assert.equal(await ended(), 'bad-frame');
    assert.equal(listener.statistics.framesRefused, 1);
  });

  it('ends as broken when the peer resets it', async (t) => {
    const { dial, ended, connections } = await rig(t);
    const socket = await dial();
    socket.write(frame('x'));
    await read(socket, 2);
    socket.resetAndDestroy();
    assert.equal(await ended(), 'broken');
    assert.ok(connections[0]?.isClosed);
    assert.equal(connections[0]?.send(Buffer.of(1)), true, 'harmless');
    connections[0]?.close('refused');
  });

  it('that is silent ends as idle', async (t) => {
    const { dial, ended, listener } = await rig(t, {}, { idleTimeoutMs: 40 });
    await dial();
    assert.equal(await ended(), 'idle');
    assert.equal(listener.statistics.idleClosed, 1);
  });

  it('whose handler throws ends alone', async (t) => {
    const { dial, ended, listener } = await rig(t, {
      frame: () => {
        throw new Error('a bug');
      },
    });
    const socket = await dial();
    const other = await dial();
    socket.write(frame('x'));
    assert.equal(await ended(), 'handler-failed');
    assert.equal(listener.statistics.handlerFailures, 1);
    assert.equal(listener.connectionCount, 1);
    other.destroy();
    await ended();
  });

  it('is not read while its peer does not read, and goes on when it does', async (t) => {
    const answer = new Uint8Array(1 << 18);
    let asked = 0;
    let drains = 0;
    const { dial, connections } = await rig(t, {
      frame: (connection) => {
        asked += 1;
        connection.send(answer);
      },
      drained: () => {
        drains += 1;
      },
    });
    const roundTrips = await roundTripper(t);
    const socket = await dial();
    socket.pause();
    const requests = 400;
    for (let index = 0; index < requests; index += 1) socket.write(frame('more'));
    const [connection] = connections;
    assert.ok(connection !== undefined);
    // All requests come in one chunk; their answers wait. Nothing further is read.
    while (connection.bufferedBytes() === 0) await new Promise(setImmediate);
    const before = asked;
    for (let index = 0; index < requests; index += 1) socket.write(frame('more'));
    await roundTrips();
    assert.ok(asked < 2 * requests, `${before} then ${asked}`);
    let got = 0;
    socket.on('data', (chunk: Buffer) => {
      got += chunk.length;
    });
    socket.resume();
    while (got < 2 * requests * answer.length) await new Promise(setImmediate);
    assert.equal(asked, 2 * requests);
    assert.ok(drains > 0);
    assert.equal(connection.bufferedBytes(), 0);
  });

  it('can be paused and resumed', async (t) => {
    const { dial, frames, connections } = await rig(t);
    const roundTrips = await roundTripper(t);
    const socket = await dial();
    socket.write(frame('a'));
    await read(socket, 2);
    connections[0]?.pause();
    socket.write(frame('b'));
    await roundTrips();
    assert.deepEqual(frames, ['a']);
    connections[0]?.resume();
    await read(socket, 2);
    assert.deepEqual(frames, ['a', 'b']);
  });

  it('corked sends together', async (t) => {
    const { dial } = await rig(t, {
      frame: (connection) =>
        connection.cork(() => {
          for (let index = 0; index < 3; index += 1) connection.send(frame('x'));
        }),
    });
    const socket = await dial();
    socket.write(frame('go'));
    assert.equal((await read(socket, 6)).length, 6);
  });
});

describe('a TCP listener', () => {
  it('closes connections above its limits at once', async (t) => {
    const { dial, listener, ended } = await rig(t, {}, { connectionsPerAddressMax: 1 });
    const first = await dial();
    const second = await dial();
    await once(second, 'close');
    assert.equal(listener.statistics.connectionsRefused, 1);
    assert.equal(listener.connectionCount, 1);
    first.destroy();
    await ended();
    const third = await dial();
    third.write(frame('in'));
    await read(third, 3);
  });

  it('says which port it cannot have', async (t) => {
    const { listener } = await rig(t);
    const handler: TcpHandler = { open() {}, frame() {}, drained() {}, closed() {} };
    const options = { host: '127.0.0.1', port: listener.port, rule: RULE, limits: LIMITS, handler };
    await assert.rejects(openTcpListener(options), {
      code: 'INVALID_ARGUMENT',
      message: /in use by another process/,
    });
  });

  it('closes all of its connections and resolves', async (t) => {
    const { dial, listener, ended } = await rig(t);
    const socket = await dial();
    socket.write(frame('x'));
    await read(socket, 2);
    const closed = once(socket, 'close');
    socket.resume();
    await listener.close();
    assert.equal(await ended(), 'stopping');
    await closed;
    await assert.rejects(connectTo(listener.port), { code: 'DISCONNECTED' });
  });
});

async function connectTo(port: number, handler: Partial<TcpHandler> = {}): Promise<TcpConnection> {
  return connectTcp({
    host: '127.0.0.1',
    port,
    connectTimeoutMs: 5000,
    rule: RULE,
    limits: LIMITS,
    handler: { open() {}, frame() {}, drained() {}, closed() {}, ...handler },
  });
}

describe('a TCP connection to somewhere', () => {
  it('asks and is answered', async (t) => {
    const { listener, ended } = await rig(t);
    const answered = new Promise<string>((resolve) => {
      connectTo(listener.port, {
        open: (connection) => connection.send(frame('hello')),
        frame: (connection, bytes) => {
          connection.close('not-needed');
          resolve(Buffer.from(bytes).toString('latin1'));
        },
      }).catch(assert.fail);
    });
    assert.equal(await answered, '\x05hello');
    assert.ok(['peer', 'broken'].includes(await ended()));
  });
});
