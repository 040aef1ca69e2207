/**
 * Many peers that do anything at any time, by seed: requests cut short, resets, upgrades, frames out of place. The door
 * must go on, call `closed` once for each `open`, forget every connection, and never give a body to another request.
 * SEED and PEERS make it another or a longer run.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Prng, seededPrng } from '../../src/base/prng.ts';
import {
  clientFrame,
  type EchoHandler,
  OPCODES,
  openTestDoor,
  RawPeer,
  transportsHere,
  until,
  upgradeRequest,
} from '../../src/testing/front-door-fixture.ts';
import type { HttpRequest, HttpResponse } from '../../src/transport/transport.ts';

const SEED = Number(process.env['SEED'] ?? 1);
const PEERS = Number(process.env['PEERS'] ?? 400);
const PEERS_AT_ONCE = 40;

type Step = (peer: RawPeer) => Promise<unknown> | undefined;

const head = (line: string, ...headers: string[]): string =>
  `${line} HTTP/1.1\r\nHost: a\r\n${headers.map((header) => `${header}\r\n`).join('')}\r\n`;

/** Everything that a peer may do, and what the broker may do to a connection meanwhile. */
function stepsOf(prng: Prng, handler: EchoHandler): readonly Step[] {
  const send =
    (bytes: () => string | Uint8Array): Step =>
    (peer) =>
      peer.send(bytes());
  let requests = 0;
  const withBody =
    (split: boolean, isChunked: boolean): Step =>
    async (peer) => {
      const mark = requests;
      requests += 1;
      const body = `b${mark}`.repeat(3);
      const length = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`;
      const parts = [
        head(`POST /body=${mark}`, length),
        isChunked ? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body,
      ];
      if (!split) return peer.send(parts.join(''));
      await peer.send(parts[0] as string);
      await sleep(prng.integer(4));
      return peer.send(parts[1] as string);
    };
  const onConnection: Step = () => {
    const connection = handler.connections[prng.integer(handler.connections.length + 1)];
    if (connection === undefined) return undefined;
    connection.sendBinary(new Uint8Array(prng.integer(100_000)));
    connection.cork(() => {
      connection.sendText('a');
      if (prng.chance(0.2)) connection.close(1001, 'at random');
    });
    connection.pause();
    connection.resume();
    return undefined;
  };
  const garbage = (): Uint8Array =>
    Uint8Array.from({ length: prng.integer(300) }, () => prng.integer(256));
  return [
    withBody(false, false),
    withBody(true, false),
    withBody(false, true),
    withBody(true, true),
    send(() => head('GET /')),
    send(() => head('HEAD /')),
    send(() => head('GET /', 'Connection: close')),
    send(() => head('GET /1') + head('GET /2')),
    send(() => head('POST /', 'Content-Length: 0')),
    send(() => `${head('POST /', 'Content-Length: 999999')}abc`),
    send(() => head('POST /', 'Content-Length: 50000') + 'y'.repeat(prng.integer(60_000))),
    send(() => 'GET / HTTP/1.1\r\n'),
    send(() => '\r\n\r\n'),
    send(garbage),
    send(() => `${head('POST /', 'Transfer-Encoding: chunked')}20000\r\n${'z'.repeat(0x20000)}`),
    send(() => `\r\n0\r\n\r\n${upgradeRequest()}`),
    send(() => `\r\n0\r\n\r\n${head('GET /')}`),
    send(() => 'y'.repeat(2000) + upgradeRequest()),
    send(() => head('HEAD /', 'X: y', 'Connection: close') + upgradeRequest()),
    send(() => upgradeRequest()),
    send(() => upgradeRequest('/nowhere')),
    send(() => upgradeRequest('/nowhere') + head('GET /')),
    send(() => upgradeRequest() + clientFrame(OPCODES.text, Buffer.from('hi')).toString('latin1')),
    send(() => clientFrame(OPCODES.binary, Buffer.alloc(prng.integer(300_000)))),
    send(() => clientFrame(OPCODES.continuation, Buffer.from('x'), prng.chance(0.5))),
    send(() => clientFrame(OPCODES.ping, Buffer.from('p'))),
    send(() => clientFrame(OPCODES.close, Buffer.alloc(0))),
    (peer) => void peer.socket.pause(),
    (peer) => void peer.socket.resume(),
    (peer) => void peer.socket.end(),
    onConnection,
    onConnection,
  ];
}

for (const [transport, skip] of await transportsHere()) {
  describe(`a front door on ${transport} among peers that do anything`, { skip }, () => {
    it(`goes on (SEED=${SEED} PEERS=${PEERS})`, async () => {
      const prng = seededPrng(SEED);
      const swapped: string[] = [];
      const http = async ({ path, body }: HttpRequest): Promise<HttpResponse> => {
        const mark = /^\/body=(\d+)$/.exec(path)?.[1];
        const found = Buffer.from(body).toString();
        if (/^(b\d+)\1\1$/.test(found) && found !== `b${mark}`.repeat(3)) {
          swapped.push(`${path} ${found}`);
        }
        if (prng.chance(0.3)) await sleep(prng.integer(10));
        if (prng.chance(0.02)) throw new Error('at random');
        const bytes = prng.chance(0.05) ? 3_000_000 : prng.integer(300);
        return { status: prng.chance(0.1) ? 204 : 200, body: 'x'.repeat(bytes) };
      };
      const { door, handler } = await openTestDoor(transport, {
        http,
        limits: { requestTimeoutMs: 200, connectionsPerAddressMax: PEERS_AT_ONCE - 5 },
      });
      const steps = stepsOf(prng, handler);
      let begun = 0;
      const run = async (): Promise<void> => {
        while (begun < PEERS) {
          begun += 1;
          const peer = await new RawPeer(door.port).connected();
          for (let left = 1 + prng.integer(5); left > 0 && !peer.isClosed; left -= 1) {
            const step = steps[prng.integer(steps.length)] as Step;
            // A paused peer may never get rid of what it sends.
            await Promise.race([step(peer), sleep(50)]);
          }
          await sleep(prng.integer(20));
          if (prng.chance(0.5)) peer.reset();
          else peer.destroy();
        }
      };
      await Promise.all(Array.from({ length: PEERS_AT_ONCE }, run));
      await until(() => door.connectionCount === 0);
      assert.deepEqual(swapped, []);
      assert.equal(handler.closes.length, handler.connections.length);
      assert.equal(new Set(handler.closes.map(({ id }) => id)).size, handler.closes.length);
      await door.close();
    });
  });
}
