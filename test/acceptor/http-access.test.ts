/** Who is let in: tokens, origins, hosts, and the limits of those who have not shown a token yet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UNAUTHENTICATED_BYTES_MAX } from '../../src/base/limits.ts';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';
import { sendBatchFrame } from '../../src/testing/batch-frames.ts';

test('with a token configured everything but hello, ping and the probes needs it', async () => {
  const rig = await AcceptorRig.start({ config: { authToken: 'secret' } });
  const client = rig.connect();
  const refused = await rig.ask(client, { op: 'send', topic: 't', body: 1 });
  assert.equal(refused['code'], 'UNAUTHENTICATED');
  rig.acceptor.binary(client, sendBatchFrame({ topicId: 1, correlationId: 8, messages: ['a'] }));
  const [frame] = client.take('error');
  assert.deepEqual([frame?.['id'], frame?.['code']], [8, 'UNAUTHENTICATED']);
  assert.equal((await rig.ask(client, { op: 'ping' })).op, 'pong');
  assert.equal((await rig.ask(client, { op: 'hello' }))['authenticated'], false);
  assert.equal((await rig.ask(client, { op: 'hello', token: 'wrong' }))['code'], 'UNAUTHENTICATED');
  assert.equal((await rig.ask(client, { op: 'hello', token: 'secret' }))['authenticated'], true);
  assert.equal((await rig.ask(client, { op: 'send', topic: 't', body: 1 })).op, 'sent');
  const url = '/api/topics';
  const without = await rig.http('GET', url);
  assert.equal(without.status, 401);
  assert.equal(without.headers?.['WWW-Authenticate'], 'Bearer');
  const withToken = (token: string): Promise<{ status: number }> =>
    rig.http('GET', url, { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await withToken('secre')).status, 401);
  assert.equal((await withToken('secret')).status, 200);
  assert.equal((await rig.http('GET', '/metrics')).status, 401);
  for (const probe of ['/livez', '/readyz'])
    assert.equal((await rig.http('GET', probe)).status, 200);
});

test('guessing a token ends the connection, then the address for a minute', async () => {
  const rig = await AcceptorRig.start({ config: { authToken: 'secret' } });
  const guess = { op: 'hello', token: 'guess' };
  for (let connection = 0; connection < 10; connection += 1) {
    const client = rig.connect('192.0.2.1');
    for (let attempt = 0; attempt < 3; attempt += 1)
      assert.equal((await rig.ask(client, guess))['code'], 'UNAUTHENTICATED');
    assert.equal(client.closeCode, 1008);
  }
  const blocked = await rig.ask(rig.connect('192.0.2.1'), { op: 'hello', token: 'secret' });
  assert.equal(blocked['code'], 'RATE_LIMITED');
  assert.ok((blocked['retryAfterMs'] as number) > 0);
  const elsewhere = await rig.ask(rig.connect('192.0.2.2'), { op: 'hello', token: 'secret' });
  assert.equal(elsewhere['authenticated'], true);
  rig.clock.advance(60_000);
  const later = await rig.ask(rig.connect('192.0.2.1'), { op: 'hello', token: 'secret' });
  assert.equal(later['authenticated'], true);
});

test('who has not shown a token may send little, and not stay long', async () => {
  const rig = await AcceptorRig.start({ config: { authToken: 'secret' } });
  const talker = rig.connect();
  const frame = JSON.stringify({ op: 'ping', id: 'x'.repeat(200) });
  for (let bytes = 0; bytes <= UNAUTHENTICATED_BYTES_MAX; bytes += frame.length)
    rig.acceptor.text(talker, frame);
  assert.equal(talker.closeCode, 1008);
  const silent = rig.connect();
  await rig.pass(4900, 100);
  assert.equal(silent.closeCode, undefined);
  await rig.pass(300, 100);
  assert.equal(silent.closeCode, 1008);
});

test('origins and hosts: the matrix', async () => {
  const rig = await AcceptorRig.start({
    config: {
      allowedOrigins: ['https://app.example:8443', 'https://plain.example'],
      allowedHosts: ['broker.example'],
    },
  });
  const loopback = '127.0.0.1:8880';
  const cases: readonly [
    origin: string | undefined,
    host: string | undefined,
    isAllowed: boolean,
  ][] = [
    [undefined, loopback, true],
    [undefined, 'localhost:8880', true],
    [undefined, 'LOCALHOST', true],
    [undefined, '[::1]:8880', true],
    [undefined, '127.1.2.3', true],
    [undefined, 'app.localhost:1', true],
    [undefined, 'broker.example:8880', true],
    [undefined, 'Broker.Example', true],
    [undefined, undefined, false],
    [undefined, '', false],
    [undefined, 'evil.example:8880', false],
    [undefined, 'broker.example.evil.example', false],
    [undefined, '127.0.0.1.evil.example', false],
    [undefined, 'localhost.evil.example', false],
    [undefined, 'evil.example/localhost', false],
    [undefined, 'localhost@evil.example', false],
    [undefined, '192.168.0.7:8880', false],
    ['https://app.example:8443', loopback, true],
    ['HTTPS://APP.EXAMPLE:8443', loopback, true],
    ['https://app.example', loopback, false],
    ['http://app.example:8443', loopback, false],
    ['https://sub.app.example:8443', loopback, false],
    ['https://app.example:8443.evil.example', loopback, false],
    ['https://evilapp.example:8443', loopback, false],
    ['https://plain.example', loopback, true],
    ['https://plain.example:443', loopback, false],
    ['null', loopback, false],
    ['', loopback, false],
    ['file://', loopback, false],
    ['http://localhost:3000', loopback, true],
    ['https://127.0.0.1', loopback, true],
    ['http://[::1]:5173', loopback, true],
    ['http://localhost.evil.example', loopback, false],
    ['http://user@localhost', loopback, false],
    ['http://localhost:3000/path', loopback, false],
    ['http://broker.example:8880', 'broker.example:8880', true],
    ['http://broker.example', 'broker.example:80', true],
    ['http://broker.example:9999', 'broker.example:8880', false],
    ['https://broker.example', 'broker.example:80', false],
  ];
  for (const [origin, host, isAllowed] of cases) {
    const what = `${origin} at ${host}`;
    const refusal = rig.acceptor.admit({ origin, host });
    assert.equal(refusal === undefined, isAllowed, what);
    if (refusal !== undefined) assert.equal(refusal.status, 403, what);
    const headers: Record<string, string> = {};
    if (origin !== undefined) headers['origin'] = origin;
    headers['host'] = host ?? '';
    const response = await rig.http('GET', '/api/topics', { headers });
    assert.equal(response.status, isAllowed ? 200 : 403, what);
    const allowed = response.headers?.['Access-Control-Allow-Origin'];
    assert.equal(allowed, isAllowed ? origin : undefined, what);
  }
});

test('a preflight of an allowed page is answered, of another one refused', async () => {
  const rig = await AcceptorRig.start();
  const preflight = (origin: string): ReturnType<typeof rig.http> =>
    rig.http('OPTIONS', '/v1/topics/t/messages', {
      headers: { origin, 'access-control-request-method': 'POST' },
    });
  const fine = await preflight('http://localhost:5173');
  assert.equal(fine.status, 204);
  assert.equal(fine.headers?.['Access-Control-Allow-Origin'], 'http://localhost:5173');
  assert.match(fine.headers?.['Access-Control-Allow-Headers'] ?? '', /X-Producer-Id/);
  const evil = await preflight('https://evil.example');
  assert.equal(evil.status, 403);
  assert.equal(evil.headers?.['Access-Control-Allow-Origin'], undefined);
  assert.equal(evil.headers?.['Vary'], 'Origin');
});
