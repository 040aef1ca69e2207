/**
 * What the tests of the front door share: a door with small limits, a handler that remembers, and peers that can
 * misbehave byte by byte, which no well-kept client library does.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { openFrontDoor } from '../transport/front-door.ts';
import type {
  FrontDoor,
  FrontDoorLimits,
  FrontDoorOptions,
  TransportName,
  WebSocketConnection,
  WebSocketHandler,
} from '../transport/transport.ts';
import { loadUws } from '../transport/uws-library.ts';

/** The transports that run here, and why the others do not. */
export async function transportsHere(): Promise<readonly [TransportName, string | false][]> {
  const missing = await loadUws().then(
    () => false as const,
    (error: Error) => error.message,
  );
  return [
    ['ws', false],
    ['uws', missing],
  ];
}

/** Deadlines that no test waits for, as long as both transports can keep: one that does sets its own. */
export const TEST_LIMITS: FrontDoorLimits = {
  frameBytesMax: 256 * 1024,
  httpBodyBytesMax: 64 * 1024,
  connectionsMax: 100,
  connectionsPerAddressMax: 100,
  requestTimeoutMs: 10_000,
  idleTimeoutSeconds: 60,
  controlFramesPerSecondMax: 10,
};

/** Waits until `condition` holds; the runner's timeout ends a wait that is in vain. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** A handler that echoes, and remembers what it was told. */
export class EchoHandler implements WebSocketHandler {
  readonly connections: WebSocketConnection[] = [];
  readonly closes: { readonly id: number; readonly code: number }[] = [];
  messages = 0;
  bytes = 0;
  drains = 0;
  echoes = true;

  open(connection: WebSocketConnection): void {
    this.connections.push(connection);
  }

  binary(connection: WebSocketConnection, bytes: Uint8Array): void {
    this.messages += 1;
    this.bytes += bytes.length;
    if (this.echoes) connection.sendBinary(bytes);
  }

  text(connection: WebSocketConnection, text: string): void {
    this.messages += 1;
    if (this.echoes) connection.sendText(text);
  }

  drained(_connection: WebSocketConnection): void {
    this.drains += 1;
  }

  closed(connection: WebSocketConnection, code: number): void {
    this.closes.push({ id: connection.id, code });
  }

  /** The newest connection. */
  get last(): WebSocketConnection {
    const connection = this.connections.at(-1);
    assert.ok(connection !== undefined, 'no connection is open');
    return connection;
  }
}

/** What a test changes of the door. */
export type DoorOverrides = Partial<Omit<FrontDoorOptions, 'limits'>> & {
  readonly limits?: Partial<FrontDoorLimits>;
};

export type OpenDoor = { readonly door: FrontDoor; readonly handler: EchoHandler };

/** A door on a free port of the loopback address; its HTTP handler describes the request. */
export function testOptions(
  handler: WebSocketHandler,
  overrides: DoorOverrides = {},
): FrontDoorOptions {
  return {
    host: '127.0.0.1',
    port: 0,
    webSocketPath: '/v1/ws',
    webSocket: handler,
    http: async ({ method, path, query, headers, body }) => ({
      status: 200,
      headers: { 'content-type': 'application/json', 'x-bytes': String(body.length) },
      body: JSON.stringify({
        method,
        path,
        query: [...query],
        headers: [...headers],
        body: Buffer.from(body).toString(),
      }),
    }),
    admit: () => undefined,
    ...overrides,
    limits: { ...TEST_LIMITS, ...overrides.limits },
  };
}

export async function openTestDoor(
  transport: TransportName,
  overrides: DoorOverrides = {},
): Promise<OpenDoor> {
  const handler = new EchoHandler();
  return { door: await openFrontDoor(transport, testOptions(handler, overrides)), handler };
}

/** A TCP peer that sends what it is told. */
export class RawPeer {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);
  isClosed = false;

  constructor(port: number, host = '127.0.0.1') {
    this.socket = connect({ port, host, noDelay: true });
    this.socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
    });
  }

  get text(): string {
    return this.received.toString('latin1');
  }

  async connected(): Promise<this> {
    if (this.socket.connecting) await once(this.socket, 'connect');
    return this;
  }

  /** Writes, and resolves when the kernel has it. */
  async send(data: string | Uint8Array): Promise<void> {
    await this.connected();
    await new Promise((resolve) => this.socket.write(data, resolve));
  }

  async closed(): Promise<string> {
    await until(() => this.isClosed);
    return this.text;
  }

  /** Waits until `count` responses with a Content-Length, or without a body, are there. */
  async responses(count = 1): Promise<readonly RawResponse[]> {
    await until(() => parseResponses(this.text).length >= count || this.isClosed);
    return parseResponses(this.text);
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Ends with a reset. While the end that it has said itself is on its way, Node 20 refuses that, and the process never exits. */
  reset(): void {
    const { writableEnded, writableFinished } = this.socket;
    if (writableEnded && !writableFinished) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }
}

export type RawResponse = {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
};

/** @param isHead - the responses have no body, whatever they announce */
export function parseResponses(text: string, isHead = false): readonly RawResponse[] {
  const responses: RawResponse[] = [];
  for (let rest = text; ; ) {
    const end = rest.indexOf('\r\n\r\n');
    if (end === -1) return responses;
    const [statusLine = '', ...lines] = rest.slice(0, end).split('\r\n');
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const length = isHead ? 0 : Number(headers.get('content-length') ?? 0);
    const body = rest.slice(end + 4, end + 4 + length);
    if (body.length < length) return responses;
    const status = Number(statusLine.split(' ')[1]);
    responses.push({ status, headers, body: Buffer.from(body, 'latin1').toString() });
    rest = rest.slice(end + 4 + length);
  }
}

/** The request that asks for a WebSocket. */
export function upgradeRequest(path = '/v1/ws', headers: readonly string[] = []): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    'Host: door.test',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    'Sec-WebSocket-Version: 13',
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

export const OPCODES = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
} as const;

/** One frame as a client sends it, masked with zeros. @param announced - the length to claim instead of the true one */
export function clientFrame(
  opcode: number,
  payload: Uint8Array,
  isFinal = true,
  announced: number = payload.length,
): Buffer {
  const header = Buffer.alloc(14);
  header[0] = (isFinal ? 0x80 : 0) | opcode;
  let size = 2;
  if (announced < 126) {
    header[1] = 0x80 | announced;
  } else if (announced <= 0xffff) {
    header[1] = 0x80 | 126;
    size = header.writeUInt16BE(announced, 2);
  } else {
    header[1] = 0x80 | 127;
    size = header.writeBigUInt64BE(BigInt(announced), 2);
  }
  return Buffer.concat([header.subarray(0, size + 4), payload]);
}

export type ServerFrame = { readonly opcode: number; readonly payload: Buffer };

/** A WebSocket client that sends the frames it is told. */
export class RawWebSocket extends RawPeer {
  async open(path?: string, headers?: readonly string[]): Promise<this> {
    await this.send(upgradeRequest(path, headers));
    await until(() => this.text.includes('\r\n\r\n') || this.isClosed);
    assert.match(this.text, /^HTTP\/1\.1 101 /);
    return this;
  }

  /** Frames received so far. */
  get frames(): readonly ServerFrame[] {
    const frames: ServerFrame[] = [];
    let rest = this.received.subarray(this.received.indexOf('\r\n\r\n') + 4);
    while (rest.length >= 2) {
      const short = (rest[1] ?? 0) & 0x7f;
      const size = short === 127 ? 10 : short === 126 ? 4 : 2;
      if (rest.length < size) break;
      const length =
        short === 127
          ? Number(rest.readBigUInt64BE(2))
          : short === 126
            ? rest.readUInt16BE(2)
            : short;
      if (rest.length < size + length) break;
      frames.push({ opcode: (rest[0] ?? 0) & 0x0f, payload: rest.subarray(size, size + length) });
      rest = rest.subarray(size + length);
    }
    return frames;
  }

  /** The code of the close frame that was received; 0 when the connection ended without one. */
  async closeCode(): Promise<number> {
    const find = (): ServerFrame | undefined =>
      this.frames.find(({ opcode }) => opcode === OPCODES.close);
    await until(() => find() !== undefined || this.isClosed);
    const payload = find()?.payload;
    return payload === undefined ? 0 : payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
  }
}
