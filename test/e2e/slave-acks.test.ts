/**
 * A NameServer, a master and its slave in processes of their own, and a client that knows only the NameServer. The master is
 * killed while a group consumes: the group reads on from the slave and acks there, with nobody touching anything; the master comes
 * back, and nothing that was acked comes again.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Client } from '../../src/client/node.ts';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { BrokerPair, factsOf, postJson, untilCaughtUp } from '../../src/testing/e2e-pair.ts';
import { connect } from '../../src/testing/patient-client.ts';

const TOPIC = 'orders';
const GROUP = 'billing';
const QUEUES = 3;
const MESSAGES = 600;
/** Consumed at the master before it is killed. */
const BEFORE = 150;

type World = {
  readonly pair: BrokerPair;
  readonly nameServer: BrokerProcess;
  readonly startMaster: () => Promise<BrokerProcess>;
  readonly startSlave: () => Promise<BrokerProcess>;
};

async function world(t: TestContext): Promise<World> {
  const nameServer = await BrokerProcess.start({ role: 'namesrv', port: 0 });
  const pair = new BrokerPair({
    brokerName: 'broker-a',
    namesrvAddr: nameServer.namesrv,
    registerNameServerPeriod: '500ms',
    // What is not answered in time is in doubt: this test has doubts of its own to count.
    syncFlushTimeoutMs: 120_000,
  });
  t.after(async () => {
    await pair.end();
    await nameServer.kill();
  });
  const [port, slavePort, haPort] = [await claimPort(), await claimPort(), await claimPort()];
  return {
    ...{ pair, nameServer },
    startMaster: () => pair.startMaster({ brokerRole: 'SYNC_MASTER', haListenPort: haPort }, port),
    startSlave: () =>
      pair.start(
        'b',
        { brokerRole: 'SLAVE', brokerId: 1, haMasterAddress: `127.0.0.1:${haPort}` },
        slavePort,
      ),
  };
}

/** It takes messages: a slave follows. */
async function untilReady(broker: BrokerProcess): Promise<void> {
  await until('it is ready', async () => (await fetch(`${broker.http}/readyz`)).status === 200);
}

/** What a consumer has been given, and what it has acked. */
class Ledger {
  /** And when it was acked. */
  readonly acked = new Map<string, string>();
  /** Acks that were sent and not answered: taken or not, a killed broker's journal knows. */
  readonly unanswered = new Set<string>();
  phase = 'at the master';
  readonly again: string[] = [];
  readonly disordered: string[] = [];
  delivered = 0;
  private readonly last = new Map<number, number>();

  /** One message at a time, each acked and the answer awaited. */
  async consume(client: Client): Promise<void> {
    const consumer = client.consumer({ topic: TOPIC, group: GROUP, from: 'earliest', credit: 8 });
    for await (const message of consumer) {
      const what = message.text();
      this.delivered += 1;
      if (this.acked.has(what))
        this.again.push(`${what}, acked ${this.acked.get(what)}, ${this.phase}`);
      const before = this.last.get(message.queueId) ?? -1;
      // What was not acked may come again, and then those behind it come again too.
      if (message.queueOffset > before + 1) this.disordered.push(`${message.queueId}: ${what}`);
      this.last.set(message.queueId, message.queueOffset);
      try {
        await message.ack();
        this.acked.set(what, this.phase);
        this.unanswered.delete(what);
      } catch {
        // Its broker is gone, or another is the one to tell: it comes again, unless the broker took the ack and died before it said so.
        this.unanswered.add(what);
      }
    }
  }

  /** Messages of `m0 … m(count - 1)` whose ack was neither answered nor perhaps taken. */
  missing(count: number): string[] {
    return Array.from({ length: count }, (_, n) => `m${n}`).filter(
      (what) => !this.acked.has(what) && !this.unanswered.has(what),
    );
  }
}

/** The group has acked all that the broker holds for it. */
async function untilDone(broker: BrokerProcess, where: string): Promise<void> {
  await until(`nothing is left ${where}`, async () => {
    const response = await fetch(`${broker.http}/api/groups/${GROUP}`);
    if (response.status !== 200) return false;
    const { queues } = (await response.json()) as { queues: { lag: number }[] };
    return queues.length > 0 && queues.every(({ lag }) => lag === 0);
  });
}

async function send(client: Client, from: number, count: number): Promise<void> {
  const producer = client.producer();
  await Promise.all(
    Array.from({ length: count }, (_, index) =>
      producer.send({ topic: TOPIC, key: `k${(from + index) % 7}`, body: `m${from + index}` }),
    ),
  );
  await producer.close();
}

test('a group reads on from the slave of a killed master, and what it acked there does not come again', async (t) => {
  const { pair, nameServer, startMaster, startSlave } = await world(t);
  let master = await startMaster();
  let slave = await startSlave();
  await untilReady(master);
  await postJson(`${master.http}/api/topics`, { topic: TOPIC, queues: QUEUES });
  const client = await connect({
    nameServers: nameServer.namesrv,
    routeRefreshMs: 500,
    reconnectMaxMs: 300,
    requestTimeoutMs: 120_000,
  });
  t.after(() => client.close());
  await send(client, 0, MESSAGES);
  const ledger = new Ledger();
  const consuming = ledger.consume(client);
  await until('some are consumed at the master', () => ledger.acked.size >= BEFORE);
  await master.kill();
  ledger.phase = 'at the slave';

  await until('the slave serves some', () => ledger.acked.size >= BEFORE + 150);
  // The slave itself is killed and comes back: what was acked with it is on its disk.
  await slave.kill();
  ledger.phase = 'at the slave, started again';
  slave = await startSlave();
  await untilDone(slave, 'at the slave');
  await until('each ack at the slave is answered', () => ledger.missing(MESSAGES).length === 0);

  ledger.phase = 'at the master, started again';
  master = await startMaster();
  await untilCaughtUp(master, slave);
  await send(client, MESSAGES, 60);
  await untilDone(master, 'at the master');
  await until(
    'each ack at the master is answered',
    () => ledger.missing(MESSAGES + 60).length === 0,
  );
  // One message at a time: each of the two kills leaves one ack without an answer at most.
  assert.ok(ledger.unanswered.size <= 2, [...ledger.unanswered].join(', '));
  await untilCaughtUp(master, slave);
  assert.deepEqual(ledger.again, [], 'nothing that was acked came again');
  assert.deepEqual(ledger.disordered, [], 'in the order of each queue, with nothing left out');
  assert.equal((await factsOf(slave)).role, 'slave');
  await client.close();
  await consuming;
  assert.ok(pair.running.length > 3);
});

test('HTTP polls and acks are served by a slave whose master is away; a new group waits for the master', async (t) => {
  const { startMaster, startSlave } = await world(t);
  let master = await startMaster();
  const slave = await startSlave();
  await untilReady(master);
  await postJson(`${master.http}/api/topics`, { topic: TOPIC, queues: 1 });
  for (let n = 0; n < 10; n += 1)
    await postJson(`${master.http}/v1/topics/${TOPIC}/messages`, { body: `m${n}` });
  const poll = async (http: string, group: string, max: number): Promise<Response> =>
    fetch(`${http}/v1/topics/${TOPIC}/messages?group=${group}&max=${max}&waitMs=200&from=earliest`);
  type Polled = { readonly messages: readonly { readonly token: string; readonly body: string }[] };
  const bodies = async (http: string, max: number): Promise<string[]> => {
    const response = await poll(http, GROUP, max);
    if (response.status !== 200) return [];
    const { messages } = (await response.json()) as Polled;
    if (messages.length === 0) return [];
    const tokens = messages.map(({ token }) => token);
    const acked = await postJson(`${http}/v1/groups/${GROUP}/acks`, { tokens });
    assert.equal(acked.status, 200, await acked.text());
    return messages.map(({ body }) => body);
  };
  const found: string[] = [];
  await until('some are polled at the master', async () => {
    found.push(...(await bodies(master.http, 1)));
    return found.length >= 3;
  });
  await untilCaughtUp(master, slave);
  assert.equal(
    (await poll(slave.http, GROUP, 1)).status,
    503,
    'a slave that follows serves nobody',
  );
  await master.kill();
  await until('the slave serves', async () => {
    found.push(...(await bodies(slave.http, 2)));
    return found.length >= 7;
  });
  const refused = (await (await poll(slave.http, 'new', 1)).json()) as { error: { code: string } };
  assert.equal(refused.error.code, 'NOT_MASTER');
  master = await startMaster();
  await until('the master serves the rest', async () => {
    found.push(...(await bodies(master.http, 10)));
    return found.length >= 10;
  });
  assert.deepEqual(
    found,
    Array.from({ length: 10 }, (_, n) => `m${n}`),
  );
});
