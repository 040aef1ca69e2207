/**
 * Two masters and a NameServer in one process: a producer that goes on while one of the masters is away, and a group that
 * gets the messages of both.
 *
 * Run: node dist/examples/cluster.js
 */
import { type Broker, createBroker, createNameServer } from 'sluicemq';
import { connect } from 'sluicemq/client';

const MESSAGES = 20;

const nameServer = await createNameServer();
const namesrvAddr = nameServer.ready.namesrv;

function startMaster(brokerName: string): Promise<Broker> {
  return createBroker({ memory: true, config: { brokerName, namesrvAddr } });
}

const masters = [await startMaster('broker-a'), await startMaster('broker-b')];
const client = await connect({ nameServers: namesrvAddr });
while ((await client.brokers()).length < masters.length) await client.ping();
console.log('topic on', await client.createTopic({ topic: 'orders' }));

const consumer = client.consumer({ topic: 'orders', group: 'billing', from: 'earliest' });
const seen = new Map<string, number>();
const consumed = consumer.run((message) => {
  seen.set(message.broker, (seen.get(message.broker) ?? 0) + 1);
});
await consumer.ready();

const producer = client.producer({ lingerMs: 0 });
for (let order = 0; order < MESSAGES; order += 1)
  await producer.send({ topic: 'orders', body: { order } });
while ([...seen.values()].reduce((sum, count) => sum + count, 0) < MESSAGES) await client.ping();
console.log('consumed from', [...seen.keys()].sort());

await masters[0]?.drain();
const { broker } = await producer.send({ topic: 'orders', body: { order: MESSAGES } });
console.log('broker-a is away, stored by', broker);

await client.drain();
await consumed;
await masters[1]?.drain();
await nameServer.close();
