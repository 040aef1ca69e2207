/**
 * A message that nobody can process: it is tried three times, goes to the group's dead-letter topic with the reason, is read
 * there, and is sent back once the fault is mended.
 *
 *   node dist/examples/dead-letters.js
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createBroker } from 'sluicemq';
import { connect } from 'sluicemq/client';

await using broker = await createBroker({ memory: true });
await using client = await connect({ servers: broker.ready.ws });
await client.admin.putGroup({ group: 'billing', maxAttempts: 3, retryBackoffMs: [20] });
await client.producer().send({ topic: 'orders', key: 'o-17', body: { total: '12,50' } });

let isMended = false;
const stop = new AbortController();
const consumer = client.consumer({ topic: 'orders', group: 'billing', from: 'earliest' });
const working = consumer.run(
  (message) => {
    const { total } = message.json<{ total: string }>();
    const amount = Number(isMended ? total.replace(',', '.') : total);
    // What is thrown is a nack with this reason: the message comes again after the group's back-off.
    if (Number.isNaN(amount)) throw new Error(`${total} is not a number`);
    console.log(`attempt ${message.attempt}: billed ${amount}`);
    stop.abort();
  },
  { signal: stop.signal },
);

// The dead-letter topic comes into being with the first dead letter.
while ((await client.admin.group('billing'))['dead'] !== 1) await sleep(20);
const letters = await client.fetch({ topic: '%DLQ%billing', queueId: 0, offset: 0 });
for (const { key, properties } of letters.messages)
  console.log(
    `dead after ${properties['DLQ_ATTEMPTS']} attempts: ${key}, ${properties['DLQ_REASON']}`,
  );

isMended = true;
const { redriven } = await client.admin.redrive('billing');
console.log(`sent back: ${redriven}`);
await working;
