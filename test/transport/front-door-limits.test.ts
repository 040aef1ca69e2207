/**
 * What the front door refuses, and that it survives who does not want to be refused. Every test runs on both
 * transports. Deadlines are real: they are short, and nothing is concluded from how long something took.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ErrorBody } from '../../src/base/errors.ts';
import {
  clientFrame,
  OPCODES,
  openTestDoor,
  RawPeer,
  type RawResponse,
  RawWebSocket,
  transportsHere,
  until,
  upgradeRequest,
} from '../../src/testing/front-door-fixture.ts';

function errorOf(response: RawResponse | undefined): ErrorBody {
  assert.ok(response !== undefined, 'there was no response');
  return (JSON.parse(response.body) as { error: ErrorBody }).error;
}

/** Sends everything and waits for the end of the connection. */
async function refused(port: number, ...parts: (string | Uint8Array)[]): Promise<RawResponse> {
  const peer = new RawPeer(port);
  for (const part of parts) await peer.send(part);
  const [response] = await peer.responses();
  await peer.closed();
  assert.ok(response !== undefined, 'closed without a response');
  return response;
}

/** One after the other: chunks of several connections of an address are not served at once by every transport. */
async function refusedInTurn(port: number, requests: readonly string[][]): Promise<RawResponse[]> {
  const responses: RawResponse[] = [];
  for (const parts of requests) responses.push(await refused(port, ...parts));
  return responses;
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const post = (headers: string): string => `POST / HTTP/1.1\r\nHost: a\r\n${headers}\r\n\r\n`;

const transports = await transportsHere();

// All at once: most of the time is spent waiting for deadlines.
describe('the limits of a front door', { concurrency: true }, () => {
  for (const [transport, skip] of transports) {
    describe(`limits of a request on ${transport}`, { skip, concurrency: true }, () => {
      it('bound the body: 413, readable also while the peer still sends, then the end', async () => {
        const limits = { httpBodyBytesMax: 1000 };
        const { door } = await openTestDoor(transport, { limits });
        for (const length of [999, 1000]) {
          const peer = new RawPeer(door.port);
          await peer.send(post(`Content-Length: ${length}`));
          await peer.send('x'.repeat(length));
          assert.equal((await peer.responses())[0]?.headers.get('x-bytes'), String(length));
          peer.destroy();
        }
        const flood = 'x'.repeat(3_000_000);
        const chunk = `${(600).toString(16)}\r\n${'x'.repeat(600)}\r\n`;
        const cases: string[][] = [
          [post('Content-Length: 1001')],
          [post(`Content-Length: ${flood.length}`), flood],
          [post('Content-Length: 99999999999'), flood],
          [post('Transfer-Encoding: chunked'), chunk, chunk],
          [post('Transfer-Encoding: chunked') + chunk + chunk],
        ];
        const inChunks = cases.splice(-2);
        const together = cases.map((parts) => refused(door.port, ...parts));
        const responses = [
          ...(await Promise.all(together)),
          ...(await refusedInTurn(door.port, inChunks)),
        ];
        for (const response of responses) {
          assert.equal(response.status, 413);
          assert.equal(errorOf(response).code, 'MESSAGE_TOO_LARGE');
          assert.equal(response.headers.get('connection'), 'close');
        }
        assert.equal(door.statistics.requestsRefused, responses.length);
        await until(() => door.connectionCount === 0);
        await door.close();
      });

      it('bound the headers: 431', async () => {
        const { door } = await openTestDoor(transport);
        const count = (lines: number): string =>
          `GET / HTTP/1.1\r\nHost: a\r\n${Array.from({ length: lines - 1 }, (_, index) => `h${index}: 1\r\n`).join('')}\r\n`;
        const peer = new RawPeer(door.port);
        await peer.send(count(50));
        assert.equal((await peer.responses())[0]?.status, 200);
        peer.destroy();
        assert.equal((await refused(door.port, count(51))).status, 431);
        const large = `GET / HTTP/1.1\r\nHost: a\r\nlarge: ${'x'.repeat(9000)}\r\n\r\n`;
        assert.equal((await refused(door.port, large)).status, 431);
        await until(() => door.connectionCount === 0);
        await door.close();
      });

      it('end a connection whose bytes are no request', async () => {
        const { door } = await openTestDoor(transport, { limits: { requestTimeoutMs: 300 } });
        const bad = [
          post('Content-Length: abc'),
          post('Content-Length: -1'),
          post('Content-Length: 5\r\nContent-Length: 6'),
          post('Content-Length: 99999999999999999999999'),
          post('Content-Length: 5\r\nTransfer-Encoding: chunked'),
          `${post('Transfer-Encoding: chunked')}zz\r\n`,
          'GET / HTTP/1.1\r\nHost : a\r\n\r\n',
          'GET / HTTP/1.1\r\nHost: a\r\nx: a\u0000b\r\n\r\n',
          'GET / HTTP/9.9\r\n\r\n',
          '\u0016\u0003\u0001\u0002\u0000\u0001',
          'nonsense\r\n\r\n',
          '\r\n\r\n\r\n\r\n',
        ];
        for (const bytes of bad) {
          const peer = new RawPeer(door.port);
          await peer.send(Buffer.from(bytes, 'latin1'));
          const text = await peer.closed();
          assert.ok(!text.startsWith('HTTP/1.1 200'), JSON.stringify(bytes));
        }
        await until(() => door.connectionCount === 0);
        await door.close();
      });

      for (const [where, parts] of [
        ['before the first byte', []],
        ['in the headers', ['GET / HTTP/1.1\r\nHost: a\r\n']],
        ['in the headers of an upgrade', [upgradeRequest().slice(0, -2)]],
        ['before the body', [post('Content-Length: 5')]],
        ['in the body', [post('Content-Length: 5'), 'abc']],
        ['before the first chunk', [post('Transfer-Encoding: chunked')]],
        ['between chunks', [post('Transfer-Encoding: chunked'), '3\r\nabc\r\n']],
      ] as const) {
        it(`end a request that stops ${where}`, async () => {
          const { door } = await openTestDoor(transport, { limits: { requestTimeoutMs: 150 } });
          const peer = await new RawPeer(door.port).connected();
          for (const part of parts) await peer.send(part);
          assert.doesNotMatch(await peer.closed(), /^HTTP\/1\.1 200/);
          await until(() => door.connectionCount === 0);
          assert.equal(door.statistics.requestTimeouts, 1);
          await door.close();
        });
      }

      it('end a request that trickles: the time counts, not the silence', async () => {
        const { door } = await openTestDoor(transport, { limits: { requestTimeoutMs: 150 } });
        const peer = new RawPeer(door.port);
        await peer.send(post('Content-Length: 60000'));
        while (!peer.isClosed) {
          await peer.send('x').catch(() => {});
          await new Promise((resolve) => setImmediate(resolve));
        }
        assert.doesNotMatch(peer.text, /^HTTP\/1\.1 200/);
        await until(() => door.connectionCount === 0);
        await door.close();
      });

      it('end the second request of a connection as they end the first', async () => {
        const { door } = await openTestDoor(transport, { limits: { requestTimeoutMs: 4000 } });
        const peer = new RawPeer(door.port);
        await peer.send(GET);
        await peer.responses();
        await peer.send(post('Content-Length: 5'));
        await peer.closed();
        const [, response] = await peer.responses(2);
        assert.equal(response?.status, 408);
        await until(() => door.connectionCount === 0);
        await door.close();
      });

      it('leave a handler the time it needs', async () => {
        let finish = (): void => {};
        const waited = new Promise<void>((resolve) => {
          finish = resolve;
        });
        const http = async (): Promise<{ status: number; body: string }> => {
          await waited;
          return { status: 200, body: 'late' };
        };
        const { door } = await openTestDoor(transport, {
          http,
          limits: { requestTimeoutMs: 4000 },
        });
        const patient = new RawPeer(door.port);
        await patient.send(GET);
        // A second one that is closed for being slow shows that the deadline is over.
        const slow = await new RawPeer(door.port).connected();
        await slow.closed();
        finish();
        assert.equal((await patient.responses())[0]?.body, 'late');
        patient.destroy();
        await door.close();
      });
    });

    describe(`limits of connections on ${transport}`, { skip, concurrency: true }, () => {
      for (const limit of ['connectionsMax', 'connectionsPerAddressMax'] as const) {
        it(`refuse above ${limit} with 503, whatever the others do`, async () => {
          const { door, handler } = await openTestDoor(transport, { limits: { [limit]: 3 } });
          const socket = await new RawWebSocket(door.port).open();
          const idle = new RawPeer(door.port);
          await idle.send(GET);
          assert.equal((await idle.responses())[0]?.status, 200);
          const silent = await new RawPeer(door.port).connected();
          await until(() => door.connectionCount === 3);
          for (const request of [GET, upgradeRequest(), `${post('Content-Length: 5')}hello`]) {
            const response = await refused(door.port, request);
            assert.equal(response.status, 503);
            assert.equal(response.headers.get('retry-after'), '1');
            const { code, retryable, retryAfterMs, stored } = errorOf(response);
            assert.deepEqual([code, retryable, stored], ['BUSY', true, false]);
            assert.equal(retryAfterMs, 1000);
          }
          await until(() => door.connectionCount === 3);
          assert.equal(handler.connections.length, 1);
          assert.equal(door.statistics.connectionsRefused, 3);
          // Those inside are not touched, and a place that is free is given again.
          await socket.send(clientFrame(OPCODES.text, Buffer.from('hi')));
          await until(() => socket.frames.length === 1);
          silent.destroy();
          await until(() => door.connectionCount === 2);
          const next = await new RawWebSocket(door.port).open();
          for (const peer of [socket, idle, next]) peer.destroy();
          await until(() => door.connectionCount === 0);
          await door.close();
        });
      }

      it('hold no memory for a flood of connections that are refused', async () => {
        const { door } = await openTestDoor(transport, { limits: { connectionsMax: 2 } });
        const peers = Array.from({ length: 100 }, () => new RawPeer(door.port));
        await until(() => peers.filter((peer) => peer.isClosed).length === 100 - 2 - 16);
        assert.equal(door.connectionCount, 2 + 16);
        for (const peer of peers) peer.destroy();
        await until(() => door.connectionCount === 0);
        await door.close();
      });

      it('count every connection once, however it ends', async () => {
        const { door, handler } = await openTestDoor(transport);
        const ways: ((peer: RawWebSocket) => Promise<unknown>)[] = [
          async (peer) => peer.connected(),
          async (peer) => peer.send('GET / HT'),
          async (peer) => peer.send(GET).then(() => peer.responses()),
          async (peer) => peer.send(post('Content-Length: 10')),
          async (peer) => peer.send(post('Transfer-Encoding: chunked')),
          async (peer) => peer.send(post('Content-Length: 0')).then(() => peer.responses()),
          async (peer) => peer.send(upgradeRequest('/nowhere')).then(() => peer.responses()),
          async (peer) => peer.open(),
          async (peer) =>
            peer.open().then(() => peer.send(clientFrame(OPCODES.close, Buffer.alloc(0)))),
          async (peer) => peer.open().then(() => handler.last.close(1000, '')),
        ];
        for (let round = 0; round < 5; round += 1) {
          const peers = ways.map(() => new RawWebSocket(door.port));
          await Promise.all(ways.map((way, index) => way(peers[index] as RawWebSocket)));
          for (const peer of peers) peer.destroy();
        }
        await until(() => door.connectionCount === 0);
        assert.equal(handler.closes.length, handler.connections.length);
        await door.close();
      });
    });

    describe(`limits of a WebSocket on ${transport}`, { skip, concurrency: true }, () => {
      it('bound control frames: a flood closes with 1008, at most the limit is answered', async () => {
        const { door, handler } = await openTestDoor(transport);
        for (const opcode of [OPCODES.ping, OPCODES.pong]) {
          const peer = await new RawWebSocket(door.port).open();
          const ping = clientFrame(opcode, Buffer.from('p'));
          await peer.send(Buffer.concat(Array.from({ length: 5000 }, () => ping)));
          assert.equal(await peer.closeCode(), 1008);
          const pongs = peer.frames.filter((frame) => frame.opcode === OPCODES.pong).length;
          assert.ok(pongs <= 11, `${pongs} pongs`);
          await until(() => handler.closes.at(-1)?.id === handler.last.id);
          assert.equal(handler.closes.at(-1)?.code, 1008);
          peer.destroy();
        }
        const polite = await new RawWebSocket(door.port).open();
        for (let count = 0; count < 10; count += 1) {
          await polite.send(clientFrame(OPCODES.ping, Buffer.from('p')));
        }
        await until(() => polite.frames.length === 10);
        assert.equal(door.statistics.floodsClosed, 2);
        polite.destroy();
        await door.close();
      });

      it('bound what unfinished fragments cost', async () => {
        const { door, handler } = await openTestDoor(transport, {
          limits: { frameBytesMax: 1024 * 1024 },
        });
        const before = process.memoryUsage();
        const peer = await new RawWebSocket(door.port).open();
        const fragment = clientFrame(OPCODES.continuation, Buffer.from('x'), false);
        const block = Buffer.concat(Array.from({ length: 10_000 }, () => fragment));
        await peer.send(clientFrame(OPCODES.binary, Buffer.from('x'), false));
        for (let count = 0; count < 30 && !peer.isClosed; count += 1) {
          await Promise.race([peer.send(block), peer.closed()]);
        }
        const after = process.memoryUsage();
        const grown = after.heapUsed + after.external - before.heapUsed - before.external;
        assert.ok(grown < 60 * 1024 * 1024, `${grown} bytes for 300 KB of fragments`);
        assert.equal(handler.messages, 0);
        peer.destroy();
        await until(() => handler.closes.length === 1);
        if (transport === 'ws') assert.equal(handler.closes[0]?.code, 1008);
        await door.close();
      });

      it('end a silent one, ping before, and keep one that answers or sends', async () => {
        // Not less: two of them must be heard in time, whatever else the machine does.
        const limits = { idleTimeoutSeconds: 8, requestTimeoutMs: 1000 };
        const { door, handler } = await openTestDoor(transport, { limits });
        const silent = await new RawWebSocket(door.port).open();
        const unfinished = await new RawWebSocket(door.port).open();
        const answering = await new RawWebSocket(door.port).open();
        const sending = await new RawWebSocket(door.port).open();
        let pings = 0;
        // A frame that does not end is silence, however its bytes trickle; a pong and a frame are not.
        await unfinished.send(clientFrame(OPCODES.binary, Buffer.from('x'), true, 250_000));
        for (let sent = 0; !(silent.isClosed && unfinished.isClosed); sent += 1) {
          if (sent < 1000) await unfinished.send('x').catch(() => {});
          const asked = answering.frames.filter(({ opcode }) => opcode === OPCODES.ping).length;
          for (; pings < asked; pings += 1) {
            await answering.send(clientFrame(OPCODES.pong, Buffer.alloc(0)));
          }
          await sending.send(clientFrame(OPCODES.text, Buffer.from('x')));
          await new Promise((resolve) => setImmediate(resolve));
        }
        assert.equal(await silent.closeCode(), 1001);
        assert.ok(silent.frames.some(({ opcode }) => opcode === OPCODES.ping));
        assert.ok(pings > 0);
        assert.equal(answering.isClosed, false);
        assert.equal(sending.isClosed, false);
        assert.deepEqual(
          handler.closes.map(({ code }) => code),
          [1001, 1001],
        );
        assert.equal(door.statistics.idleClosed, 2);
        await door.close();
      });
    });
  }
});
