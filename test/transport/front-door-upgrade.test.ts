/** From HTTP to WebSocket, or not. Every test runs on both transports. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ErrorBody } from '../../src/base/errors.ts';
import {
  openTestDoor,
  RawPeer,
  type RawResponse,
  RawWebSocket,
  transportsHere,
  until,
  upgradeRequest,
} from '../../src/testing/front-door-fixture.ts';

/** One request on a connection of its own. */
async function exchange(port: number, request: string | Uint8Array): Promise<RawResponse> {
  const peer = new RawPeer(port);
  await peer.send(request);
  const [response] = await peer.responses();
  assert.ok(response !== undefined, `closed without a response to ${request.toString()}`);
  peer.destroy();
  return response;
}

function errorOf(response: RawResponse | undefined): ErrorBody {
  assert.ok(response !== undefined, 'there was no response');
  assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
  return (JSON.parse(response.body) as { error: ErrorBody }).error;
}

for (const [transport, skip] of await transportsHere()) {
  describe(`pipelined requests on ${transport}`, { skip, concurrency: true }, () => {
    // `ws` answers them in order; uWebSockets.js closes the connection when the first is not answered yet.
    it('are answered in order, or their connection is closed', async () => {
      const { door } = await openTestDoor(transport);
      const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
      const pairs = [
        [get('/a'), get('/b')],
        [upgradeRequest('/nowhere'), get('/b')],
        ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n', get('/b')],
        [get('/a'), 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'],
      ];
      for (const pair of pairs) {
        const peer = new RawPeer(door.port);
        await peer.send(pair.join(''));
        await peer.responses(transport === 'ws' && pair === pairs[0] ? 2 : 1);
        peer.destroy();
      }
      await until(() => door.connectionCount === 0);
      assert.equal((await exchange(door.port, get('/alive'))).status, 200);
      await door.close();
    });
  });

  describe(`an upgrade on ${transport}`, { skip, concurrency: true }, () => {
    it('is asked for before it happens, with origin, host and address', async () => {
      const asked: unknown[] = [];
      const { door, handler } = await openTestDoor(transport, {
        admit: (request) => {
          asked.push(request);
          return request.origin === 'https://good.test'
            ? undefined
            : { status: 403, headers: { 'content-type': 'text/plain' }, body: 'no' };
        },
      });
      const good = await new RawWebSocket(door.port).open('/v1/ws', ['Origin: https://good.test']);
      assert.equal(handler.connections.length, 1);
      for (const origins of [
        [],
        ['Origin: null'],
        ['Origin: https://good.test', 'Origin: https://good.test'],
      ]) {
        const response = await exchange(door.port, upgradeRequest('/v1/ws', origins));
        assert.deepEqual([response.status, response.body], [403, 'no']);
      }
      assert.deepEqual(asked[0], {
        origin: 'https://good.test',
        host: 'door.test',
        remoteAddress: '127.0.0.1',
      });
      assert.deepEqual(
        asked.map((request) => (request as { origin: unknown }).origin),
        ['https://good.test', undefined, 'null', 'https://good.test, https://good.test'],
      );
      assert.equal(handler.connections.length, 1);
      assert.equal(door.statistics.upgradesRefused, 3);
      good.destroy();
      await until(() => door.connectionCount === 0);
      await door.close();
    });

    it('is refused with the reason when path or handshake are wrong', async () => {
      const { door, handler } = await openTestDoor(transport);
      const right = upgradeRequest();
      const cases: [string, number, string][] = [
        [upgradeRequest('/other'), 404, 'NOT_FOUND'],
        [upgradeRequest('/v1/ws/'), 404, 'NOT_FOUND'],
        [right.replace('Version: 13', 'Version: 8'), 426, 'UNSUPPORTED_VERSION'],
        [right.replace('AAAA==', 'AAAA'), 400, 'BAD_FRAME'],
        [right.replace('AAAA==', 'AA@A=='), 400, 'BAD_FRAME'],
        [right.replace('GET', 'POST'), 400, 'BAD_FRAME'],
      ];
      for (const [request, status, code] of cases) {
        const response = await exchange(door.port, request);
        assert.deepEqual([response.status, errorOf(response).code], [status, code], request);
      }
      assert.equal(handler.connections.length, 0);
      assert.equal(door.statistics.upgradesRefused, cases.length);
      await until(() => door.connectionCount === 0);
      await door.close();
    });

    it('leaves the requests of other connections of the address alone', async () => {
      const { door, handler } = await openTestDoor(transport);
      const peers = Array.from({ length: 10 }, () => new RawPeer(door.port));
      for (const peer of peers) await peer.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await Promise.all(peers.map((peer) => peer.responses()));
      const sockets = Array.from({ length: 10 }, () => new RawWebSocket(door.port));
      await Promise.all(sockets.map((socket) => socket.open()));
      for (const peer of peers) await peer.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      const answered = await Promise.all(peers.map((peer) => peer.responses(2)));
      assert.ok(answered.every((responses) => responses[1]?.status === 200));
      assert.equal(door.connectionCount, 20);
      for (const peer of [...peers, ...sockets]) peer.destroy();
      await until(() => door.connectionCount === 0);
      assert.equal(handler.closes.length, 10);
      await door.close();
    });
  });
}
