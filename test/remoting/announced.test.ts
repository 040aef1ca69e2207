/** Who makes a topic finds it at the NameServer at once; a NameServer that does not answer holds nobody up for long. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { it, type TestContext } from 'node:test';
import { createBroker } from '../../src/broker/create-broker.ts';
import { createNameServer } from '../../src/nameserver/nameserver.ts';
import { REQUEST_CODES as REQUESTS } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES as RESPONSES } from '../../src/protocol/remoting/response-codes.ts';
import { until } from '../../src/testing/e2e-broker.ts';
import { connect } from '../../src/testing/patient-client.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';

const topicFields = (topic: string) => ({
  ...{ topic, defaultTopic: 'TBW102', readQueueNums: '3', writeQueueNums: '3', perm: '6' },
  ...{ topicFilterType: 'SINGLE_TAG', topicSysFlag: '0', order: 'false' },
});

async function start(t: TestContext, namesrvAddr: string) {
  const config = { remotingPort: 0, namesrvAddr };
  const broker = await createBroker({ memory: true, config });
  t.after(() => broker.close());
  const client = await RemotingClient.connect(Number(broker.ready.remoting?.split(':')[1]));
  t.after(() => client.close());
  return { broker, client };
}

async function startNameServer(t: TestContext) {
  const nameServer = await createNameServer({});
  t.after(() => nameServer.close());
  const asking = await RemotingClient.connect(nameServer.port);
  t.after(() => asking.close());
  const routeOf = async (topic: string): Promise<number> =>
    (await asking.ask(REQUESTS.GET_ROUTEINFO_BY_TOPIC, { fields: { topic } })).code;
  return { nameServer, routeOf };
}

it('a topic that was made has a route when the answer comes', async (t) => {
  const { nameServer, routeOf } = await startNameServer(t);
  const { client } = await start(t, nameServer.ready.namesrv);
  await until('the broker is registered', () => nameServer.statistics().brokers === 1);
  for (let round = 0; round < 10; round += 1) {
    const topic = `made-${round}`;
    const made = await client.ask(REQUESTS.UPDATE_AND_CREATE_TOPIC, { fields: topicFields(topic) });
    assert.equal(made.code, RESPONSES.SUCCESS, made.remark);
    assert.equal(await routeOf(topic), RESPONSES.SUCCESS, topic);
  }
});

it('a group of our own protocol has a retry topic at the NameServer, and none at the broker', async (t) => {
  const { nameServer, routeOf } = await startNameServer(t);
  const { broker } = await start(t, nameServer.ready.namesrv);
  const web = await connect({ servers: broker.ready.ws });
  t.after(() => web.close());
  await web.admin.putGroup({ group: 'billing' });
  await until(
    'the group is found',
    async () => (await routeOf('%RETRY%billing')) === RESPONSES.SUCCESS,
  );
  assert.deepEqual(await web.admin.topics(), { topics: [] });
});

it('without an answer of the NameServer it is made all the same, and answered', async (t) => {
  // Takes connections and says nothing.
  const silent = createServer(() => {}).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  const { nameServer, routeOf } = await startNameServer(t);
  const { port } = silent.address() as AddressInfo;
  const { client } = await start(t, `127.0.0.1:${port};${nameServer.ready.namesrv}`);
  await until('the broker is registered', () => nameServer.statistics().brokers === 1);
  const made = await client.ask(REQUESTS.UPDATE_AND_CREATE_TOPIC, { fields: topicFields('made') });
  assert.equal(made.code, RESPONSES.SUCCESS, made.remark);
  assert.equal(await routeOf('made'), RESPONSES.SUCCESS);
});
