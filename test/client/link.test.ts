import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { startTimer } from '../../src/base/clock.ts';
import { SluiceError } from '../../src/base/errors.ts';
import { connectWith } from '../../src/client/connect.ts';
import { connect, nodeRuntime } from '../../src/client/node.ts';
import { SLICES } from '../../src/client/sliced-timer.ts';
import type { StatusEvent } from '../../src/client/types.ts';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { rejection, until, withClient } from '../../src/testing/client-rig.ts';
import { FakeBroker } from '../../src/testing/fake-broker.ts';

async function listen(
  onSocket: (socket: Socket) => void,
): Promise<{ server: Server; port: number }> {
  const server = createServer(onSocket);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

const codeOf = (error: unknown): string => (error as SluiceError).code;

describe('connect', () => {
  it('rejects when nothing listens, and names the address', async () => {
    const port = await claimPort();
    const error = await rejection(connect({ servers: `ws://127.0.0.1:${port}` }));
    assert.ok(error instanceof SluiceError);
    assert.equal(error.code, 'DISCONNECTED');
    assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}.*ECONNREFUSED`));
  });

  it('rejects when something else listens', async () => {
    const { server, port } = await listen((socket) => {
      socket.on('error', () => {});
      socket.end('SSH-2.0-other\r\n');
    });
    const error = await rejection(connect({ servers: `127.0.0.1:${port}` }));
    assert.equal(codeOf(error), 'DISCONNECTED');
    assert.match((error as SluiceError).hint, /8880/);
    server.close();
  });

  it('rejects when something listens and says nothing', async () => {
    const sockets: Socket[] = [];
    const { server, port } = await listen((socket) => sockets.push(socket));
    const error = await rejection(connect({ servers: `127.0.0.1:${port}`, connectTimeoutMs: 20 }));
    assert.equal(codeOf(error), 'TIMEOUT');
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  it('rejects when a wrong token is refused, and does not try again', async () => {
    const broker = await FakeBroker.start();
    broker.token = 'right';
    const servers = broker.url;
    assert.equal(codeOf(await rejection(connect({ servers, token: 'wrong' }))), 'UNAUTHENTICATED');
    assert.equal(broker.connectionCount, 1);
    const client = await connect({ servers, token: 'right' });
    assert.equal((await client.admin.broker())['name'], 'fake');
    await client.close();
    await broker.close();
  });

  it('waits on when this process stood still, and its own timer is the first to be late', async () => {
    const broker = await FakeBroker.start();
    const connectTimeoutMs = 55_555;
    let late = 0;
    const client = await connectWith(
      {
        ...nodeRuntime(),
        startTimer: (ms, action) => {
          if (ms !== connectTimeoutMs / 5 || late === 1) return startTimer(ms, action);
          late += 1;
          queueMicrotask(action);
          return () => {};
        },
      },
      { servers: broker.url, connectTimeoutMs },
    );
    assert.equal(late, 1);
    await client.close();
    await broker.close();
  });

  it('takes the first of several servers that answers', async () => {
    const broker = await FakeBroker.start();
    const dead = await claimPort();
    const client = await connect({ servers: [`127.0.0.1:${dead}`, broker.url] });
    assert.equal(client.server, `${broker.url}/v1/ws`);
    await client.close();
    await broker.close();
  });

  it('gives up when its signal aborts', async () => {
    const { server, port } = await listen((socket) => socket.on('error', () => {}));
    const controller = new AbortController();
    const connecting = connect({ servers: `127.0.0.1:${port}`, signal: controller.signal });
    controller.abort(new Error('no more'));
    assert.equal(((await rejection(connecting)) as Error).message, 'no more');
    server.close();
  });

  it('refuses addresses and options that are none', async () => {
    for (const servers of ['', 'ws://', [], 'ftp://x', 17, [' ']])
      assert.equal(
        codeOf(await rejection(connect({ servers: servers as never }))),
        'INVALID_ARGUMENT',
        String(servers),
      );
    const error = await rejection(connect({ servers: 'x', pingIntervalMs: -1 }));
    assert.match((error as Error).message, /pingIntervalMs is -1/);
  });

  it('may return before there is a connection', async () => {
    const port = await claimPort();
    const events: StatusEvent[] = [];
    const client = await connect({
      servers: `127.0.0.1:${port}`,
      waitForConnection: false,
      reconnectMinMs: 1,
      reconnectMaxMs: 2,
      onStatus: (event) => events.push(event),
    });
    const sent = client.producer().send({ topic: 't', body: 'early' });
    await until(() => events.filter(({ type }) => type === 'reconnecting').length > 2);
    const broker = await FakeBroker.start(port);
    await sent;
    assert.equal(broker.messages('t')[0]?.text, 'early');
    await client.close();
    await broker.close();
  });
});

describe('a link', () => {
  it('comes back after a cut, and tells of it', () =>
    withClient(async ({ broker, client, events }) => {
      broker.drop();
      await until(() => events.filter(({ type }) => type === 'connected').length === 2);
      assert.deepEqual(
        events.map(({ type }) => type),
        ['connected', 'disconnected', 'reconnecting', 'connected'],
      );
      assert.ok((await client.ping()) >= 0);
    }));

  it('goes to the next server when one is gone', async () => {
    const one = await FakeBroker.start();
    const two = await FakeBroker.start();
    const client = await connect({
      servers: [one.url, two.url],
      reconnectMinMs: 1,
      reconnectMaxMs: 2,
    });
    const producer = client.producer();
    await producer.send({ topic: 't', key: 'k', body: 'one' });
    await one.close();
    const receipt = await producer.send({ topic: 't', key: 'k', body: 'two' });
    assert.equal(receipt.duplicate, false);
    assert.deepEqual(
      two.messages('t').map(({ text }) => text),
      ['two'],
    );
    await client.close();
    await two.close();
  });

  it('notices a connection that is open and dead', () => {
    const ping = { pingIntervalMs: 20, pingTimeoutMs: 21 };
    let isNoticed = false;
    return withClient(
      async ({ broker, client, events }) => {
        client.onStatus(({ type }) => {
          if (type !== 'disconnected') return;
          isNoticed = true;
          broker.isSilent = false;
        });
        const sent = client.producer().send({ topic: 't', body: 'through' });
        broker.isSilent = true;
        await sent;
        const lost = events.find(({ type }) => type === 'disconnected');
        assert.ok(lost?.type === 'disconnected' && lost.error.code === 'TIMEOUT');
        assert.equal(broker.messages('t').length, 1);
      },
      ping,
      {
        // A machine that does other things too answers later than a ping of this test waits: one such end is enough.
        startTimer: (ms, action) => {
          const isPing = [ping.pingIntervalMs, ping.pingTimeoutMs / SLICES].includes(ms);
          return startTimer(isNoticed && isPing ? 60_000 : ms, action);
        },
      },
    );
  });

  it('does not take a broker for dead while its own process stood still', () => {
    const ping = { pingIntervalMs: 7777, pingTimeoutMs: 5555 };
    const waits = [ping.pingIntervalMs, ping.pingTimeoutMs, ping.pingTimeoutMs / SLICES];
    let due = (): void => {};
    return withClient(
      async ({ broker, client, events }) => {
        const pings = (): number => broker.requests.filter(({ op }) => op === 'ping').length;
        const lost = (): boolean => events.some(({ type }) => type === 'disconnected');
        for (let round = 1; round <= 3; round += 1) {
          due();
          // The process goes on after a long time: a timer is over, and what the broker has answered is not read yet.
          due();
          assert.equal(lost(), false);
          await until(() => pings() === round);
          await client.topic('t');
          for (let slice = 1; slice < SLICES; slice += 1) due();
        }
        due();
        broker.isSilent = true;
        for (let slice = 1; slice <= SLICES; slice += 1) {
          assert.equal(lost(), false);
          due();
        }
        assert.equal(lost(), true, 'one that stays silent is dead all the same');
        broker.isSilent = false;
      },
      ping,
      {
        startTimer: (ms, action) => {
          if (!waits.includes(ms)) return startTimer(ms, action);
          due = action;
          return () => {};
        },
      },
    );
  });

  it('pings a connection after an interval without a word, and none that is busy', () => {
    const pingIntervalMs = 7777;
    let intervalIsOver = (): void => {};
    return withClient(
      async ({ broker, client }) => {
        const pings = (): number => broker.requests.filter(({ op }) => op === 'ping').length;
        for (let round = 0; round < 10; round += 1) {
          await client.topic('t', { create: round % 2 === 0 });
          intervalIsOver();
        }
        await client.topic('t');
        assert.equal(pings(), 0);
        intervalIsOver();
        intervalIsOver();
        await until(() => pings() === 1);
      },
      { pingIntervalMs },
      {
        startTimer: (ms, action) => {
          if (ms !== pingIntervalMs) return startTimer(ms, action);
          intervalIsOver = action;
          return () => {};
        },
      },
    );
  });

  it('sends requests again that were unanswered when the connection was lost', () =>
    withClient(async ({ broker, client }) => {
      broker.isSilent = true;
      const asked = client.topic('t');
      await client.ping({ timeoutMs: 5 }).catch(() => {});
      broker.isSilent = false;
      broker.drop();
      assert.equal((await asked).queues, 4);
    }));

  it('tries a request again that a busy broker refused', () =>
    withClient(async ({ broker, client }) => {
      let refusals = 0;
      broker.refuse = ({ op }) => {
        if (op !== 'topic' || refusals === 3) return undefined;
        refusals += 1;
        return 'BUSY';
      };
      assert.equal((await client.topic('t')).topic, 't');
      assert.equal(refusals, 3);
    }));

  it('ends a request by time, by signal and by close', () =>
    withClient(async ({ broker, client }) => {
      broker.isSilent = true;
      assert.equal(codeOf(await rejection(client.ping({ timeoutMs: 5 }))), 'TIMEOUT');
      const signal = AbortSignal.abort(new Error('stop'));
      assert.equal(((await rejection(client.ping({ signal }))) as Error).message, 'stop');
      const open = rejection(client.ping());
      await client.close();
      assert.equal(codeOf(await open), 'CLOSED');
      assert.equal(codeOf(await rejection(client.ping())), 'CLOSED');
    }));

  it('passes the refusal of a request on', () =>
    withClient(async ({ broker, client }) => {
      broker.refuse = ({ op }) => (op === 'topic' ? 'TOPIC_NOT_FOUND' : undefined);
      const error = await rejection(client.topic('t'));
      assert.equal(codeOf(error), 'TOPIC_NOT_FOUND');
      assert.equal((error as SluiceError).retryable, false);
    }));

  it('is closed while it reconnects, at once and for ever', async () => {
    const broker = await FakeBroker.start();
    const events: StatusEvent[] = [];
    const client = await connect({
      servers: broker.url,
      reconnectMinMs: 60_000,
      reconnectMaxMs: 60_000,
      onStatus: (event) => events.push(event),
    });
    const sent = rejection(client.producer().send({ topic: 't', body: 1 }));
    await broker.close();
    await until(() => events.some(({ type }) => type === 'reconnecting'));
    await client.close();
    assert.equal(codeOf(await sent), 'CLOSED');
    assert.equal(events.at(-1)?.type, 'closed');
    await client.close();
    await client.drain();
  });

  it('may be closed by a listener of its own status', () =>
    withClient(async ({ broker, client }) => {
      client.onStatus(({ type }) => {
        if (type === 'reconnecting') void client.close();
      });
      broker.drop();
      assert.equal(await client.closed, undefined);
    }));

  it('gives its status events as an iterable that ends with it', () =>
    withClient(async ({ broker, client }) => {
      const types: string[] = [];
      const reading = (async () => {
        for await (const { type } of client.status()) types.push(type);
      })();
      broker.drop();
      await until(() => types.includes('connected'));
      await client.close();
      await reading;
      assert.deepEqual(types, ['disconnected', 'reconnecting', 'connected', 'closed']);
    }));

  it('is closed for good when a token is no longer accepted', () =>
    withClient(async ({ broker, client }) => {
      broker.token = 'changed';
      const sent = client.producer();
      broker.drop();
      assert.equal((await client.closed)?.code, 'UNAUTHENTICATED');
      const error = await rejection(sent.send({ topic: 't', body: 1 }));
      assert.equal(codeOf(error), 'CLOSED');
    }));
});

describe('admin', () => {
  it('speaks HTTP on the same port, and passes refusals on', () =>
    withClient(async ({ client }) => {
      assert.deepEqual(await client.admin.broker(), { name: 'fake' });
      const error = await rejection(client.admin.topic('a|b'));
      assert.equal(codeOf(error), 'NOT_FOUND');
      assert.match((error as Error).message, /\/api\/topics\/a%7Cb/);
      const stopped = rejection(client.admin.topics({ signal: AbortSignal.abort(new Error('x')) }));
      assert.equal(((await stopped) as Error).message, 'x');
    }));
});
