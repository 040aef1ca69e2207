/**
 * Events from a page: sent in batches over WebSocket, kept in IndexedDB until the broker has acknowledged them, sent
 * again after a reload with the same producer id and sequences, so that each is stored once.
 *
 *   npx vite examples/browser                       then open the page with ?server=ws://127.0.0.1:8880
 *   npx vite build examples/browser                 a static page, 40 KB compressed
 *
 * The broker must allow the page's origin: sluice up --allowed-origins http://localhost:5173
 */
import { connect, indexedDbOutbox } from 'sluicemq/client';

const TOPIC = 'clicks';
const server = new URLSearchParams(location.search).get('server') ?? 'ws://127.0.0.1:8880';
const show = (id, text) => {
  document.getElementById(id).textContent = String(text);
};

const client = await connect({
  servers: server,
  // The page works before the broker does: events wait in the outbox.
  waitForConnection: false,
  onStatus: (event) => {
    if (event.type === 'connected') show('connection', `connected to ${event.broker}`);
    if (event.type === 'reconnecting') show('connection', `offline, try ${event.failures}`);
    if (event.type === 'closed') show('connection', 'closed');
    if ('error' in event && event.error !== undefined) show('problem', event.error.message);
  },
});

let stored = 0;
const producer = client.producer({
  outbox: indexedDbOutbox({ name: 'clicks', policy: 'drop-oldest' }),
  // Events of an earlier visit are counted too: they arrive without anybody waiting for them.
  onReceipt: (receipt) => {
    stored += receipt.messageCount;
    show('stored', stored);
    show(
      'receipt',
      `queue ${receipt.queueId}, offset ${receipt.queueOffset}, ${receipt.durability}`,
    );
  },
  onFailure: ({ error }) => show('problem', error.message),
});

let clicked = 0;
document.getElementById('click').addEventListener('click', () => {
  clicked += 1;
  show('clicked', clicked);
  producer.push({ topic: TOPIC, tag: 'click', body: { clicked, at: Date.now() } });
});

let received = 0;
for await (const message of client.consumer({ topic: TOPIC, group: 'page', from: 'earliest' })) {
  received += 1;
  show('received', `${received}, the last: ${message.text()}`);
  message.ack();
}
