/**
 * Events from a page: sent in batches over WebSocket, kept in IndexedDB until the broker has acknowledged them, sent
 * again after a reload with the same producer id and sequences, so that each is stored once; and read back by a consumer
 * that acknowledges, or asks for an event again later.
 *
 *   npx vite examples/browser                       then open the page with ?server=ws://127.0.0.1:8880
 *   npx vite build examples/browser                 a static page, 40 KB compressed
 *
 * The broker must allow the page's origin: sluice up --allowed-origins http://localhost:5173
 */
import { connect, indexedDbOutbox } from 'sluicemq/client';

const TOPIC = 'page-events';
/** Rows of each list; older ones make room. */
const ROWS_MAX = 200;
const AGAIN_AFTER_MS = 2000;

const server = new URLSearchParams(location.search).get('server') ?? 'ws://127.0.0.1:8880';
const element = (id) => document.getElementById(id);
const show = (id, value) => {
  element(id).textContent = String(value);
};
const showProblem = (text) => {
  element('problem').hidden = text === '';
  show('problem', text);
};
const showConnection = (state, text) => {
  element('connection').dataset.state = state;
  show('connection', text);
};

/** Puts a row on top of a list. @returns changes its state */
function addRow(list, text) {
  const row = document.createElement('li');
  const [what, status] = ['what', 'state'].map((name) => {
    const span = document.createElement('span');
    span.className = name;
    row.append(span);
    return span;
  });
  what.textContent = text;
  element(list).prepend(row);
  if (element(list).children.length > ROWS_MAX) element(list).lastChild.remove();
  return (state, description, buttons = []) => {
    row.dataset.state = state;
    status.textContent = description;
    for (const button of row.querySelectorAll('button')) button.remove();
    row.append(...buttons);
  };
}

function button(text, onClick) {
  const made = document.createElement('button');
  made.type = 'button';
  made.textContent = text;
  made.addEventListener('click', onClick);
  return made;
}

const client = await connect({
  servers: server,
  // The page works before the broker does: events wait in the outbox.
  waitForConnection: false,
  reconnectMaxMs: 2000,
  onStatus: (event) => {
    if (event.type === 'connected') {
      showConnection('connected', `connected to ${event.broker}`);
      showProblem('');
    }
    if (event.type === 'reconnecting') showConnection('offline', `offline, try ${event.failures}`);
    if (event.type === 'closed') showConnection('closed', 'closed');
    if (event.type === 'outbox-failed') showProblem(`Outbox: ${event.error.message}`);
  },
});

let stored = 0;
const producer = client.producer({
  outbox: indexedDbOutbox({ name: 'page-events' }),
  // An event that waits for its broker is not late, however long that takes.
  sendTimeoutMs: 0,
  // Events of an earlier visit are counted too: they arrive without anybody waiting for them.
  onReceipt: (receipt) => {
    stored += receipt.messageCount;
    show('stored-count', stored);
  },
});
setInterval(() => show('outbox-count', producer.unansweredCount), 100);

let sent = 0;
async function send(text) {
  sent += 1;
  show('sent-count', sent);
  const setState = addRow('sent', text);
  setState('waiting', 'waiting for the broker');
  try {
    const receipt = await producer.send({ topic: TOPIC, tag: 'typed', body: { text } });
    const where = `queue ${receipt.queueId}, offset ${receipt.queueOffset}`;
    setState('stored', `stored (${receipt.durability}) · ${where}`);
  } catch (error) {
    setState('failed', `${error.code ?? error.name}: ${error.message}`);
  }
}

element('send-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = element('text').value.trim();
  if (text !== '') send(text);
  element('text').value = '';
});
element('burst').addEventListener('click', () => {
  for (let index = 0; index < 20; index += 1) send(`event ${sent + 1}`);
});
element('drain').addEventListener('click', async () => {
  for (const id of ['drain', 'burst', 'text']) element(id).disabled = true;
  document.querySelector('#send-form .main').disabled = true;
  showConnection('connecting', 'draining');
  try {
    await client.drain({ timeoutMs: 5000 });
  } catch (error) {
    showProblem(error.message);
  }
});

let received = 0;
function receive(message) {
  received += 1;
  show('received-count', received);
  const attempt = message.attempt > 1 ? ` · delivery ${message.attempt}` : '';
  const place = `queue ${message.queueId}, offset ${message.queueOffset}${attempt}`;
  const setState = addRow('received', message.json().text);
  const settle = async (state, description, settlement) => {
    setState(state, `${description} · ${place}`);
    // The broker has it, or delivers the event again: the connection was lost meanwhile, or the lease ended.
    await settlement.then(undefined, (error) => setState('failed', `${error.code} · ${place}`));
  };
  const ack = () => settle('acked', 'acknowledged', message.ack());
  if (element('auto-ack').checked) {
    ack();
    return;
  }
  setState('open', place, [
    button('Ack', ack),
    button('Again in 2 s', () =>
      settle(
        'later',
        'comes again',
        message.nack({ delayMs: AGAIN_AFTER_MS, reason: 'asked for' }),
      ),
    ),
  ]);
}

try {
  for await (const message of client.consumer({ topic: TOPIC, group: 'page', from: 'earliest' }))
    receive(message);
} catch (error) {
  showProblem(`${error.code}: ${error.message}`);
}
