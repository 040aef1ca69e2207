/**
 * Two NameServers and two masters in processes of their own, and a client that knows only the NameServers: what becomes of
 * sending and receiving when a broker is killed and comes back, a NameServer is killed and comes back with nothing, and
 * when all NameServers are gone.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import type { Client, StatusEvent } from '../../src/client/node.ts';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { connect } from '../../src/testing/patient-client.ts';

const TOPIC = 'orders';
const GROUP = 'billing';
const NAMES = ['broker-a', 'broker-b'] as const;
type Name = (typeof NAMES)[number];

const directory = mkdtempSync(join(tmpdir(), 'sluice-routes-'));
after(() => rmSync(directory, { recursive: true, force: true }));

/** Processes of one test. */
class World {
  readonly nameServers: BrokerProcess[] = [];
  readonly brokers = new Map<Name, BrokerProcess>();
  readonly events: StatusEvent[] = [];
  private readonly home = mkdtempSync(join(directory, 'world-'));
  private readonly ports: number[] = [];

  static async start(t: TestContext): Promise<World> {
    const world = new World();
    t.after(() => world.kill());
    world.ports.push(await claimPort(), await claimPort());
    await Promise.all([0, 1].map((index) => world.startNameServer(index)));
    await Promise.all(NAMES.map((name) => world.startBroker(name)));
    for (const index of [0, 1]) await world.untilComplete(index);
    return world;
  }

  get addresses(): readonly string[] {
    return this.nameServers.map(({ namesrv }) => namesrv);
  }

  async startNameServer(index: number): Promise<void> {
    const port = this.ports[index] as number;
    this.nameServers[index] = await BrokerProcess.start({ role: 'namesrv', port });
  }

  async startBroker(name: Name): Promise<void> {
    const earlier = this.brokers.get(name);
    const port = earlier === undefined ? await claimPort() : Number(new URL(earlier.http).port);
    const settings = {
      brokerName: name,
      namesrvAddr: this.addresses.join(';'),
      registerNameServerPeriod: '500ms',
      shards: 1,
    };
    const dataDir = join(this.home, name);
    this.brokers.set(name, await BrokerProcess.start({ dataDir, settings, port }));
  }

  broker(name: Name): BrokerProcess {
    return this.brokers.get(name) as BrokerProcess;
  }

  /** Names that a NameServer has in the route of a topic; none while it does not answer. */
  async route(index: number, path: string): Promise<readonly string[]> {
    const address = this.nameServers[index]?.namesrv;
    const answer = (await (await fetch(`http://${address}${path}`)).json()) as {
      brokers?: readonly { readonly brokerName: string }[];
    };
    return (answer.brokers ?? []).map(({ brokerName }) => brokerName).sort();
  }

  async untilComplete(index: number, path = '/v1/cluster'): Promise<void> {
    await until(
      `NameServer ${index} knows both brokers`,
      async () => (await this.route(index, path)).join() === NAMES.join(),
    );
  }

  async connect(t: TestContext): Promise<Client> {
    const client = await connect({
      nameServers: this.addresses,
      routeRefreshMs: 500,
      reconnectMinMs: 5,
      reconnectMaxMs: 100,
      onStatus: (event) => this.events.push(event),
    });
    t.after(() => client.close());
    await client.createTopic({ topic: TOPIC, queues: 4 });
    for (const index of [0, 1]) await this.untilComplete(index, `/v1/route?topic=${TOPIC}`);
    return client;
  }

  async kill(): Promise<void> {
    await Promise.all([...this.nameServers, ...this.brokers.values()].map((one) => one.kill()));
  }
}

/** Sends `count` messages without keys. @returns how many each broker stored */
async function send(
  client: Client,
  texts: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const producer = client.producer({ lingerMs: 0 });
  const counts = new Map<string, number>();
  for (const body of texts) {
    const { broker } = await producer.send({ topic: TOPIC, body });
    counts.set(broker, (counts.get(broker) ?? 0) + 1);
  }
  await producer.close();
  return counts;
}

function texts(prefix: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}

/** A consumer that acks all, and what it got. */
function consume(client: Client): { readonly got: Set<string>; readonly ended: Promise<void> } {
  const got = new Set<string>();
  const consumer = client.consumer({ topic: TOPIC, group: GROUP, from: 'earliest' });
  const ended = consumer.run((message) => {
    got.add(message.text());
  });
  return { got, ended };
}

describe('two masters and two NameServers', () => {
  it('take messages in turn, and a group gets those of both', async (t) => {
    const world = await World.start(t);
    const client = await world.connect(t);
    const counts = await send(client, texts('m', 64));
    for (const name of NAMES)
      assert.ok((counts.get(name) ?? 0) >= 16, `${name}: ${counts.get(name)}`);
    const { got, ended } = consume(client);
    await until('all are received', () => got.size === 64);
    assert.deepEqual([...(await client.brokers())].sort(), [...NAMES]);
    assert.equal((await client.topic(TOPIC)).queues, 8);
    await client.drain();
    await ended;
  });

  it('a topic is in the routes of all NameServers when its maker is answered', async (t) => {
    const world = await World.start(t);
    const client = await world.connect(t);
    for (let number = 0; number < 20; number += 1) {
      const topic = `made-${number}`;
      await client.createTopic({ topic, queues: 3 });
      for (const index of [0, 1])
        assert.deepEqual(await world.route(index, `/v1/route?topic=${topic}`), NAMES, topic);
    }
  });

  it('one is killed: sending goes on with the other, and what it had comes when it is back', async (t) => {
    const world = await World.start(t);
    const client = await world.connect(t);
    const stored = await send(client, texts('before', 64));
    await world.broker('broker-a').kill();
    const counts = await send(client, texts('after', 32));
    assert.deepEqual([...counts], [['broker-b', 32]]);
    const { got, ended } = consume(client);
    const waiting = stored.get('broker-a') ?? 0;
    await until('the other is consumed', () => got.size === 96 - waiting);
    assert.ok(waiting > 0, 'the killed broker has messages that nobody consumed');
    await world.startBroker('broker-a');
    await until('all are received', () => got.size === 96);
    for (const index of [0, 1]) await world.untilComplete(index);
    await until('both are used again', async () => (await send(client, texts('x', 16))).size === 2);
    await client.drain();
    await ended;
  });

  it('one is killed amid unanswered sends: all are answered, and all are received', async (t) => {
    const world = await World.start(t);
    const client = await world.connect(t);
    const producer = client.producer({ moveInDoubtMs: 50, lingerMs: 1, batchBytes: 1024 });
    const sent: Promise<unknown>[] = [];
    let killing: Promise<void> | undefined;
    const bodies = texts('load', 2000);
    for (const [index, body] of bodies.entries()) {
      sent.push(producer.send({ topic: TOPIC, body }));
      if (index === 500) killing = world.broker('broker-a').kill();
      if (index % 20 === 0) await new Promise(setImmediate);
    }
    await Promise.all(sent);
    await killing;
    await world.startBroker('broker-a');
    const { got, ended } = consume(client);
    await until('all are received', () => bodies.every((body) => got.has(body)));
    await client.drain();
    await ended;
  });

  it('a NameServer comes back empty and is complete within a heartbeat; without any, clients go on', async (t) => {
    const world = await World.start(t);
    const client = await world.connect(t);
    const { got, ended } = consume(client);
    await send(client, texts('first', 16));
    await (world.nameServers[0] as BrokerProcess).kill();
    await world.startNameServer(0);
    await world.untilComplete(0, `/v1/route?topic=${TOPIC}`);
    await Promise.all(world.nameServers.map((one) => one.kill()));
    await until('the client has noticed', () =>
      world.events.some(({ type }) => type === 'route-failed'),
    );
    assert.equal((await send(client, texts('alone', 32))).size, 2);
    await until('all are received', () => got.size === 48);
    await until('the broker has noticed too, and is ready all the same', async () => {
      const ready = (await (await fetch(`${world.broker('broker-a').http}/readyz`)).json()) as {
        readonly ready: boolean;
        readonly namesrv: Readonly<Record<string, string>>;
      };
      assert.equal(ready.ready, true);
      return Object.values(ready.namesrv).every((state) => /^not registered: /.test(state));
    });
    await client.drain();
    await ended;
  });

  it('a stopped broker takes itself out of the routes', async (t) => {
    const world = await World.start(t);
    await world.broker('broker-b').stop();
    for (const [index, nameServer] of world.nameServers.entries()) {
      const { reason } = await nameServer.logged('broker-forgotten');
      assert.equal(reason, 'it unregistered');
      assert.deepEqual(await world.route(index, '/v1/cluster'), ['broker-a']);
    }
  });
});
