/** HTTP on the port of a NameServer: routes, probes, whose pages may ask, and bytes that are neither a frame nor a request. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { createNameServer, type NameServer } from '../../src/nameserver/nameserver.ts';
import { REQUEST_CODES } from '../../src/protocol/remoting/request-codes.ts';
import { fuzzPlan } from '../../src/testing/fuzz-plan.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';

const FURTHER = {
  epoch: '3',
  role: 'SYNC_MASTER',
  position: '4096',
  webSocketAddrs: '10.0.0.1:8880,[::1]:8880',
};

async function start(t: TestContext): Promise<{ nameServer: NameServer; url: string }> {
  const nameServer = await createNameServer({ allowedOrigins: ['https://shop.example'] });
  t.after(() => nameServer.close());
  return { nameServer, url: `http://${nameServer.ready.namesrv}` };
}

async function dial(t: TestContext, { port }: NameServer): Promise<RemotingClient> {
  const client = await RemotingClient.connect(port);
  t.after(() => client.close());
  return client;
}

/** Sends bytes on a connection of their own, and resolves with what came back when it is closed. */
async function exchange(port: number, chunks: readonly (string | Uint8Array)[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const received: Buffer[] = [];
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => received.push(chunk));
  const closed = once(socket, 'close');
  socket.setNoDelay(true);
  for (const chunk of chunks) {
    socket.write(chunk);
    await new Promise(setImmediate);
  }
  socket.end();
  await closed;
  return Buffer.concat(received).toString('latin1');
}

describe('HTTP of a NameServer', () => {
  it('gives the route of a topic, and all brokers, with what only our brokers say', async (t) => {
    const { nameServer, url } = await start(t);
    const client = await dial(t, nameServer);
    await client.register({ fields: FURTHER });
    await client.register({ brokerId: 1, brokerAddr: '10.0.0.2:10911' });
    const response = await fetch(`${url}/v1/route?topic=T1`);
    assert.equal(response.status, 200);
    const { topic, brokers } = (await response.json()) as {
      topic: string;
      brokers: { members: { heardMsAgo: number }[] }[];
    };
    assert.equal(topic, 'T1');
    for (const member of brokers[0]?.members ?? []) assert.ok(member.heardMsAgo >= 0);
    const members = brokers[0]?.members.map(({ heardMsAgo: _, ...member }) => member);
    assert.deepEqual(
      { ...brokers[0], members },
      {
        brokerName: 'broker-a',
        cluster: 'DefaultCluster',
        ...{ readQueueNums: 4, writeQueueNums: 4, perm: 6 },
        members: [
          {
            ...{ brokerId: 0, brokerAddr: '10.0.0.1:10911', haServerAddr: '10.0.0.1:10912' },
            ...{ epoch: 3, role: 'SYNC_MASTER', position: 4096 },
            webSocketAddrs: ['10.0.0.1:8880', '[::1]:8880'],
          },
          {
            ...{ brokerId: 1, brokerAddr: '10.0.0.2:10911', haServerAddr: '10.0.0.2:10912' },
            ...{ epoch: 0, role: null, position: null, webSocketAddrs: [] },
          },
        ],
      },
    );
    const cluster = (await (await fetch(`${url}/v1/cluster`)).json()) as { topics: number };
    assert.equal(cluster.topics, 2);
    assert.match(await (await fetch(`${url}/metrics`)).text(), /^sluice_namesrv_brokers 2$/m);
  });

  it('refuses what it does not have, and says what it has', async (t) => {
    const { url } = await start(t);
    const codes: [string, number, string][] = [
      ['/v1/route?topic=none', 404, 'TOPIC_NOT_FOUND'],
      ['/v1/route', 400, 'INVALID_NAME'],
      ['/v1/route?topic=%00', 400, 'INVALID_NAME'],
      ['/console/', 404, 'NOT_FOUND'],
    ];
    for (const [path, status, code] of codes) {
      const response = await fetch(url + path);
      const { error } = (await response.json()) as { error: { code: string } };
      assert.deepEqual([response.status, error.code], [status, code], path);
    }
    assert.equal((await fetch(`${url}/v1/cluster`, { method: 'POST' })).status, 404);
    assert.equal((await fetch(`${url}/livez`)).status, 200);
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
  });

  it('is for the pages that may ask, and for hosts that cannot have been rebound', async (t) => {
    const { nameServer, url } = await start(t);
    const ask = (origin: string): Promise<Response> =>
      fetch(`${url}/v1/cluster`, { headers: { origin } });
    const allowed = await ask('https://shop.example');
    assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://shop.example');
    assert.equal((await ask('http://localhost:3000')).status, 200);
    const refused = await ask('https://evil.example');
    assert.equal(refused.status, 403);
    assert.equal(refused.headers.get('access-control-allow-origin'), null);
    const request = 'GET /v1/cluster HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n';
    assert.match(await exchange(nameServer.port, [request]), /^HTTP\/1\.1 403 /);
    const preflight = await fetch(`${url}/v1/cluster`, {
      method: 'OPTIONS',
      headers: { origin: 'https://shop.example', 'access-control-request-method': 'GET' },
    });
    assert.equal(preflight.status, 204);
  });

  it('takes a request byte by byte, and several in one packet', async (t) => {
    const { nameServer } = await start(t);
    const request = 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n';
    assert.match(await exchange(nameServer.port, [...request]), /^HTTP\/1\.1 200 /);
    const many = await exchange(nameServer.port, [request.repeat(3)]);
    assert.equal(many.match(/HTTP\/1\.1 200 /g)?.length, 3);
    const body = 'GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello';
    assert.match(await exchange(nameServer.port, [body]), /^HTTP\/1\.1 413 /);
    const upgrade = `${request.slice(0, -2)}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`;
    assert.match(await exchange(nameServer.port, [upgrade]), /^HTTP\/1\.1 404 /);
  });

  it('lives on whatever bytes come', async (t) => {
    const { nameServer, url } = await start(t);
    const client = await dial(t, nameServer);
    await client.register({ fields: FURTHER });
    const { numRuns, seed } = fuzzPlan(60);
    const prng = seededPrng(seed);
    const valid = Buffer.from('GET /v1/route?topic=T1 HTTP/1.1\r\nHost: localhost\r\n\r\n');
    for (let round = 0; round < numRuns; round += 1) {
      const bytes = prng.chance(0.5) ? Buffer.from(valid) : Buffer.alloc(1 + prng.integer(300), 71);
      for (let change = prng.integer(8); change >= 0; change -= 1)
        bytes[prng.integer(bytes.length)] = prng.integer(256);
      const cut = prng.integer(bytes.length + 1);
      await exchange(nameServer.port, [bytes.subarray(0, cut), bytes.subarray(cut)]);
    }
    assert.equal((await fetch(`${url}/v1/route?topic=T1`)).status, 200);
    assert.equal((await client.ask(REQUEST_CODES.GET_BROKER_CLUSTER_INFO)).code, 0);
  });

  it('refuses addresses and roles that are none', async (t) => {
    const { nameServer } = await start(t);
    const client = await dial(t, nameServer);
    for (const fields of [
      { ...FURTHER, webSocketAddrs: 'nowhere' },
      { ...FURTHER, webSocketAddrs: Array.from({ length: 9 }, (_, i) => `h:${i}`).join() },
      { ...FURTHER, role: '<b>' },
      { ...FURTHER, position: '-1' },
    ])
      assert.equal((await client.register({ fields })).code, 1, JSON.stringify(fields));
    assert.equal(nameServer.statistics().brokers, 0);
  });
});
