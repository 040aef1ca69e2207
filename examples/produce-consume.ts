/**
 * Sends orders and works on them as a member of a group, on a broker that runs already (`npm start`).
 *
 *   node dist/examples/produce-consume.js [ws://127.0.0.1:8880]
 */
import { connect } from 'sluicemq/client';

type Order = { readonly order: number; readonly total: number };

const ORDERS = 10;
await using client = await connect({ servers: process.argv[2] ?? 'ws://127.0.0.1:8880' });

// Messages of one key go to one queue, in order. Batches, retries and dedup are the producer's affair.
const producer = client.producer();
const receipts = await producer.sendBatch(
  Array.from({ length: ORDERS }, (_, order) => ({
    topic: 'orders',
    key: `customer-${order % 3}`,
    tag: order % 2 === 0 ? 'created' : 'paid',
    body: { order, total: 10 + order },
  })),
);
console.log(`${receipts.length} orders stored, durability ${receipts.at(0)?.durability}`);

// A new group begins at the earliest message here; what is acked does not come again, whoever consumes next.
let received = 0;
const consumer = client.consumer({ topic: 'orders', group: 'billing', from: 'earliest' });
for await (const message of consumer) {
  const { order, total } = message.json<Order>();
  console.log(`${message.key} ${message.tag}: order ${order}, total ${total}`);
  message.ack();
  received += 1;
  if (received === ORDERS) break;
}
