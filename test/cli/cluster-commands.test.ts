/** The commands that ask NameServers: who is there, where a topic is, how far a group is, and the way of a client. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Broker, createBroker, createNameServer, type NameServer } from '../../src/index.ts';
import { runCli } from '../../src/testing/cli-run.ts';
import { until } from '../../src/testing/e2e-broker.ts';

let nameServer: NameServer;
const brokers: Broker[] = [];

before(async () => {
  nameServer = await createNameServer();
  const namesrvAddr = nameServer.ready.namesrv;
  for (const brokerName of ['broker-a', 'broker-b'])
    brokers.push(
      await createBroker({
        memory: true,
        config: { brokerName, namesrvAddr, autoCreateTopicEnable: true, defaultTopicQueueNums: 2 },
      }),
    );
  await until('both are registered', () => nameServer.statistics().brokers === 2);
});

after(async () => {
  await Promise.all(brokers.map((broker) => broker.close()));
  await nameServer.close();
});

const ask = (...words: readonly string[]): ReturnType<typeof runCli> =>
  runCli([...words, '-n', nameServer.ready.namesrv]);

describe('commands that know NameServers', () => {
  it('send to and receive from a topic on all brokers', async () => {
    const sent = await runCli(
      ['produce', 'orders', '--namesrv', nameServer.ready.namesrv, '--json'],
      {
        input: '1\n2\n3\n',
      },
    );
    assert.equal(sent.code, 0, sent.stderr);
    await until('the topic is known on both', async () => {
      const url = `http://${nameServer.ready.namesrv}/v1/route?topic=orders`;
      const { brokers: found = [] } = (await (await fetch(url)).json()) as { brokers?: object[] };
      return found.length === 2;
    });
    const words = ['--group', 'g', '--from', 'earliest', '--max', '3', '--json'];
    const received = await ask('consume', 'orders', ...words);
    assert.equal(received.code, 0, received.stderr);
    assert.deepEqual(received.values.map(({ body }) => body).sort(), [1, 2, 3]);
    assert.match(String(received.values[0]?.['broker']), /^broker-[ab]$/);
  });

  it('show brokers, routes, queues and groups in the columns of mqadmin', async () => {
    const { stdout } = await ask('admin', 'clusterList');
    assert.match(stdout, /^#Cluster Name +#Broker Name +#BID +#Addr +#Version/);
    assert.match(stdout, /DefaultCluster +broker-a +0 +127\.0\.0\.1:\d+ +\d/);
    const route = await ask('admin', 'topicRoute', 'orders', '--json');
    assert.deepEqual(
      route.values.map(({ brokerName, writeQueues, perm }) => [brokerName, writeQueues, perm]),
      [
        ['broker-a', 2, 'RW'],
        ['broker-b', 2, 'RW'],
      ],
    );
    const status = await ask('admin', 'topicStatus', '-t', 'orders', '--json');
    const stored = status.values.reduce((sum, { maxOffset }) => sum + Number(maxOffset), 0);
    assert.deepEqual([status.values.length, stored], [4, 3]);
    const progress = await ask('admin', 'consumerProgress', '-g', 'g');
    assert.match(progress.stdout, /^#Topic +#Broker Name +#QID +#Broker Offset +#Consumer Offset/);
    assert.match(progress.stdout, /Consume Diff Total: 0\n/);
  });

  it('say what is not there', async () => {
    assert.match((await ask('admin', 'topicRoute', 'none')).stderr, /TOPIC_NOT_FOUND/);
    assert.match((await ask('admin', 'consumerProgress', 'none')).stderr, /GROUP_NOT_FOUND/);
    assert.equal((await ask('admin', 'topicStatus')).code, 2);
    const nobody = await runCli(['admin', 'clusterList', '-n', '127.0.0.1:1']);
    assert.equal(nobody.code, 1);
    assert.match(nobody.stderr, /no NameServer answers/);
  });

  it('tell of two brokers with one name and id: the second says so, and takes nothing from the first', async () => {
    const cluster = async (): Promise<string> =>
      (await fetch(`http://${nameServer.ready.namesrv}/v1/cluster`)).text();
    const before = await cluster();
    const second = await createBroker({
      memory: true,
      config: { brokerName: 'broker-b', namesrvAddr: nameServer.ready.namesrv },
    });
    try {
      const ready = async (): Promise<{ readonly reasons: readonly string[]; status: number }> => {
        const response = await fetch(`${second.ready.http}/readyz`);
        return { ...((await response.json()) as { reasons: string[] }), status: response.status };
      };
      await until('it is refused', async () => (await ready()).status === 503);
      const { reasons } = await ready();
      assert.match(reasons.join(), /NameServer .* does not take it: broker-b, id 0, lives at/);
      const { code, values } = await ask('doctor', '--json');
      assert.equal(code, 1);
      const failed = values.filter(({ state }) => state === 'fail');
      assert.deepEqual(
        failed.map(({ check }) => check),
        ['duplicate'],
      );
      assert.match(String(failed[0]?.['message']), /two brokers are broker-b, id 0/);
      const status = await runCli(['admin', 'status', '--url', second.ready.ws]);
      assert.match(status.stdout, /NameServer .*: not registered: broker-b, id 0, lives at/);
      const names = (text: string): readonly string[] => text.match(/"brokerAddr":"[^"]+"/g) ?? [];
      assert.deepEqual(names(await cluster()).slice(0, 2), names(before));
    } finally {
      await second.close();
    }
    await until(
      'it is forgotten',
      async () => !(await cluster()).includes(second.ready.ws.slice(5)),
    );
  });

  it('go the way of a client: NameServers, route, addresses, rights', async () => {
    const { values, code } = await ask('doctor', '--topic', 'orders', '--json');
    assert.equal(code, 0);
    const messages = values.map(({ check, message }) => `${check}: ${message}`).join('\n');
    assert.match(messages, /namesrv: .* knows broker-a, broker-b/);
    assert.match(messages, /route: orders is on broker-a, broker-b, 4 queues/);
    assert.match(messages, /address: broker-b, id 0 is at ws:/);
    assert.equal(values.filter(({ check }) => check === 'permission').length, 2);
    const down = await runCli(['doctor', '--namesrv', '127.0.0.1:1', '--json']);
    assert.equal(down.code, 1);
  });
});
