/** HTTP through the front door. Every test runs on both transports. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, it } from 'node:test';
import type { ErrorBody } from '../../src/base/errors.ts';
import {
  openTestDoor,
  parseResponses,
  RawPeer,
  type RawResponse,
  transportsHere,
  until,
} from '../../src/testing/front-door-fixture.ts';
import type { HttpRequest, HttpResponse } from '../../src/transport/transport.ts';

const OK: HttpResponse = { status: 200, body: 'ok' };

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

/** What the test door's handler saw. */
type Seen = Record<'method' | 'path' | 'body', string> & Record<'query' | 'headers', string[][]>;

function seenBy(response: RawResponse | undefined): Seen {
  assert.equal(response?.status, 200);
  return JSON.parse(response?.body ?? '') as Seen;
}

for (const [transport, skip] of await transportsHere()) {
  describe(`a request on ${transport}`, { skip, concurrency: true }, () => {
    it('reaches the handler as it was sent', async () => {
      const { door } = await openTestDoor(transport);
      const response = await exchange(
        door.port,
        'POST /v1/topics/a%20b/messages?max=3&x=%C3%A9&max=4 HTTP/1.1\r\nHost: door.test\r\nX-Two: 1\r\nX-TWO: 2\r\nContent-Length: 5\r\n\r\nhello',
      );
      const seen = seenBy(response);
      assert.equal(seen.method, 'POST');
      assert.equal(seen.path, '/v1/topics/a%20b/messages');
      assert.deepEqual(seen.query, [
        ['max', '3'],
        ['x', 'é'],
        ['max', '4'],
      ]);
      assert.equal(seen.body, 'hello');
      assert.ok(seen.headers.some(([name, value]) => name === 'x-two' && value === '1, 2'));
      assert.equal(response.headers.get('x-bytes'), '5');
      await door.close();
    });

    it('may use any method; the answer to HEAD has the length of a body that it lacks', async () => {
      const { door } = await openTestDoor(transport);
      for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
        const response = await exchange(door.port, `${method} /x HTTP/1.1\r\nHost: a\r\n\r\n`);
        assert.equal(seenBy(response).method, method);
      }
      const peer = new RawPeer(door.port);
      for (let round = 1; round <= 2; round += 1) {
        await peer.send('HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n');
        await until(() => parseResponses(peer.text, true).length === round);
      }
      const [head] = parseResponses(peer.text, true);
      assert.ok(Number(head?.headers.get('content-length')) > 20);
      assert.ok(peer.text.endsWith('\r\n\r\n'));
      peer.destroy();
      await door.close();
    });

    it('follows another on the same connection', async () => {
      const { door } = await openTestDoor(transport);
      const peer = new RawPeer(door.port);
      for (let round = 1; round <= 20; round += 1) {
        const body = 'b'.repeat(round * 100);
        await peer.send(
          round % 2 === 0
            ? `POST /${round} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`
            : `GET /${round} HTTP/1.1\r\nHost: a\r\n\r\n`,
        );
        const seen = seenBy((await peer.responses(round))[round - 1]);
        assert.equal(seen.path, `/${round}`);
        assert.equal(seen.body, round % 2 === 0 ? body : '');
      }
      assert.equal(door.connectionCount, 1);
      peer.destroy();
      await until(() => door.connectionCount === 0);
      await door.close();
    });

    it('of many connections at once is answered on its own', async () => {
      const { door } = await openTestDoor(transport);
      const peers = Array.from({ length: 40 }, () => new RawPeer(door.port));
      await Promise.all(peers.map((peer) => peer.connected()));
      const bodyOf = (index: number, round: number): string => `${index}.${round};`.repeat(index);
      for (let round = 1; round <= 3; round += 1) {
        await Promise.all(
          peers.map(async (peer, index) => {
            const body = bodyOf(index, round);
            const half = body.length >> 1;
            await peer.send(
              `POST /${index} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, half)}`,
            );
            await peer.send(body.slice(half));
            // Content-Length: 0 ends a connection on one transport, so that index 0 sends no second request.
            if (index === 0 && round > 1) return;
            const seen = seenBy((await peer.responses(round))[round - 1]);
            assert.deepEqual([seen.path, seen.body], [`/${index}`, body]);
          }),
        );
      }
      for (const peer of peers) peer.destroy();
      await until(() => door.connectionCount === 0);
      await door.close();
    });

    it('may send its body in chunks, at once or bit by bit', async () => {
      const { door } = await openTestDoor(transport);
      const head = 'POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
      const whole = await exchange(door.port, `${head}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n`);
      assert.equal(seenBy(whole).body, 'hello world');
      const silent = await new RawPeer(door.port).connected();
      const peer = new RawPeer(door.port);
      for (let round = 1; round <= 3; round += 1) {
        const body = 'x'.repeat(round);
        for (const part of [head, `${round}\r\n`, body, '\r\n', '0\r\n\r\n']) await peer.send(part);
        assert.equal(seenBy((await peer.responses(round))[round - 1]).body, body);
      }
      silent.destroy();
      peer.destroy();
      await until(() => door.connectionCount === 0);
      await door.close();
    });

    it('in chunks may wait for its first one; on uws one at a time from an address', async () => {
      const { door } = await openTestDoor(transport);
      const head = 'POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
      const first = new RawPeer(door.port);
      await first.send(head);
      await until(() => door.connectionCount === 1);
      const second = new RawPeer(door.port);
      await second.send(head);
      if (transport === 'uws') await second.closed();
      // Requests of other kinds are not affected, and the first goes on.
      assert.equal((await exchange(door.port, 'GET /g HTTP/1.1\r\nHost: a\r\n\r\n')).status, 200);
      for (const peer of transport === 'uws' ? [first] : [second, first]) {
        await peer.send('2\r\nab\r\n0\r\n\r\n');
        assert.equal(seenBy((await peer.responses())[0]).body, 'ab');
        peer.destroy();
      }
      await until(() => door.connectionCount === 0);
      await door.close();
    });

    it('may have an announced body of no bytes, and headers in pieces', async () => {
      const { door } = await openTestDoor(transport);
      const empty = await exchange(
        door.port,
        'POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
      );
      assert.equal(seenBy(empty).body, '');
      for (const [head, body] of [
        ['Host: a\r\nContent-Length: 0\r\n\r\n', ''],
        ['Host: a\r\nContent-Length: 3\r\n\r\n', 'abc'],
        ['Host: a\r\n\r\n', ''],
      ] as const) {
        const peer = new RawPeer(door.port);
        await peer.send('POST /p HTTP/1.1\r\n');
        for (const byte of head) await peer.send(byte);
        await peer.send(body);
        assert.equal(seenBy((await peer.responses())[0]).body, body);
        peer.destroy();
      }
      await door.close();
    });

    it('may name headers like members of an object', async () => {
      const { door } = await openTestDoor(transport);
      // The library of uws gives up a connection whose header names have other signs than letters, digits and '-'.
      const onWs = transport === 'ws' ? ['__proto__', '__defineGetter__'] : [];
      const names = [...onWs, 'constructor', 'toString', 'hasOwnProperty'];
      const lines = names.map((name) => `${name}: bad\r\n`).join('');
      const response = await exchange(door.port, `GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`);
      const headers = new Map(seenBy(response).headers as [string, string][]);
      for (const name of names) assert.equal(headers.get(name.toLowerCase()), 'bad');
      assert.equal(({} as Record<string, unknown>)['bad'], undefined);
      await door.close();
    });

    it('that offers h2c is answered in HTTP/1.1', async () => {
      const { door } = await openTestDoor(transport);
      const offer =
        'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
      const get = await exchange(door.port, `GET /g HTTP/1.1\r\nHost: a\r\n${offer}\r\n`);
      assert.equal(seenBy(get).path, '/g');
      const post = `POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n${offer}\r\nhello`;
      assert.equal(seenBy(await exchange(door.port, post)).body, 'hello');
      await until(() => door.connectionCount === 0);
      await door.close();
    });
  });

  describe(`a response on ${transport}`, { skip, concurrency: true }, () => {
    it('carries status, headers and any body', async () => {
      const big = new Uint8Array(new SharedArrayBuffer(3_000_000)).fill(0x61);
      const answers = new Map<string, HttpResponse>([
        ['/empty', { status: 201, body: '' }],
        ['/none', { status: 204, body: '' }],
        ['/euro', { status: 200, headers: { 'X-Name': 'v', 'content-length': '999' }, body: '€' }],
        ['/big', { status: 200, body: big }],
        ['/odd', { status: 299, body: 'odd' }],
      ]);
      const http = async ({ path }: HttpRequest): Promise<HttpResponse> => answers.get(path) ?? OK;
      const { door } = await openTestDoor(transport, { http });
      const peer = new RawPeer(door.port);
      const get = async (path: string, count: number): Promise<RawResponse | undefined> => {
        await peer.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
        return (await peer.responses(count))[count - 1];
      };
      const empty = await get('/empty', 1);
      assert.deepEqual([empty?.status, empty?.headers.get('content-length')], [201, '0']);
      const none = await get('/none', 2);
      assert.deepEqual([none?.status, none?.headers.get('content-length')], [204, undefined]);
      const euro = await get('/euro', 3);
      assert.equal(euro?.headers.get('content-length'), '3');
      assert.equal(euro?.headers.get('x-name'), 'v');
      assert.equal(euro?.body, '€');
      assert.equal((await get('/odd', 4))?.status, 299);
      assert.equal((await get('/big', 5))?.body.length, 3_000_000);
      peer.destroy();
      await door.close();
    });

    it('is a 500 in JSON when the handler fails, and the failure is published', async () => {
      const failures: unknown[] = [];
      const listen = (message: unknown): void => {
        failures.push((message as { error: unknown }).error);
      };
      subscribe('broker:transport:handler-failed', listen);
      const broken = new Error('secret detail');
      const http = ({ path }: HttpRequest): Promise<HttpResponse> => {
        if (path === '/throws') throw broken;
        if (path === '/rejects') return Promise.reject(broken);
        if (path === '/status') return Promise.resolve({ status: 99, body: '' });
        if (path === '/splits') {
          return Promise.resolve({ ...OK, headers: { 'x-evil': 'a\r\nset-cookie: b' } });
        }
        return Promise.resolve(OK);
      };
      const { door } = await openTestDoor(transport, { http });
      for (const path of ['/throws', '/rejects', '/status', '/splits']) {
        const response = await exchange(door.port, `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
        assert.equal(response.status, 500);
        assert.equal(errorOf(response).code, 'INVARIANT');
        assert.ok(!response.body.includes('secret'));
      }
      assert.equal((await exchange(door.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).body, 'ok');
      assert.equal(door.statistics.handlerFailures, 4);
      assert.equal(failures.filter((failure) => failure === broken).length, 2);
      unsubscribe('broker:transport:handler-failed', listen);
      await door.close();
    });

    it('is not written to a peer that went away, and the handler learns of it', async () => {
      const requests: HttpRequest[] = [];
      let finish: (response: HttpResponse) => void = () => {};
      const http = (request: HttpRequest): Promise<HttpResponse> => {
        requests.push(request);
        return new Promise((resolve) => {
          finish = resolve;
        });
      };
      const { door } = await openTestDoor(transport, { http });
      for (const lines of ['', 'Content-Length: 0\r\n', 'Content-Length: 2\r\n']) {
        const peer = new RawPeer(door.port);
        await peer.send(
          `POST /long-poll HTTP/1.1\r\nHost: a\r\n${lines}\r\nab`.slice(
            0,
            lines.endsWith('2\r\n') ? undefined : -2,
          ),
        );
        await until(() => requests.length === 1);
        const [request] = requests.splice(0);
        assert.equal(request?.signal.aborted, false);
        peer.destroy();
        await until(() => request?.signal.aborted === true);
        finish(OK);
      }
      await until(() => door.connectionCount === 0);
      const peer = new RawPeer(door.port);
      await peer.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await until(() => requests.length === 1);
      finish(OK);
      await peer.responses();
      assert.equal(requests[0]?.signal.aborted, false);
      peer.destroy();
      await door.close();
    });

    it('ends the connection when the peer asks for it, or the door stops listening', async () => {
      const { door } = await openTestDoor(transport);
      const asking = new RawPeer(door.port);
      await asking.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
      assert.match(await asking.closed(), /^HTTP\/1\.1 200 /);
      const first = new RawPeer(door.port);
      await first.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na');
      await until(() => door.connectionCount === 1);
      door.stopListening();
      await first.send('b');
      assert.match(await first.closed(), /^HTTP\/1\.1 200 /);
      await door.close();
    });
  });
}
