/**
 * A broker inside a program: nothing to install, and with `memory: true` nothing left behind. For tests, and for programs
 * that want a durable log of their own (`createBroker({ dataDir: './data' })`).
 *
 *   node dist/examples/embedded.js
 */
import { createBroker } from 'sluicemq';
import { connect } from 'sluicemq/client';

await using broker = await createBroker({ memory: true });
await using client = await connect({ servers: broker.ready.ws });

const receipt = await client.producer().send({ topic: 'greetings', key: 'en', body: 'hello' });
console.log(`stored in queue ${receipt.queueId} at offset ${receipt.queueOffset}`);

for await (const message of client.consumer({
  topic: 'greetings',
  group: 'readers',
  from: 'earliest',
})) {
  console.log(`received ${message.text()}`);
  await message.ack();
  break;
}
