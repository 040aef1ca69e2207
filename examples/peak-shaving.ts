/**
 * A system that can take so much a second and no more, and a load that is ten times higher for a while: the broker takes the
 * peak at once, the system behind works at its own pace, and nothing is lost or refused. Prints a line a second and what the
 * spike did.
 *
 *   node dist/examples/peak-shaving.js [--normal 1000] [--peak 10000] [--peak-seconds 2] [--rate 3000] [--url ws://…]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createBroker } from 'sluicemq';
import { connect } from 'sluicemq/client';
import { Pace } from './pace.ts';

const { values } = parseArgs({
  options: {
    normal: { type: 'string', default: '1000' },
    peak: { type: 'string', default: '10000' },
    'peak-seconds': { type: 'string', default: '2' },
    rate: { type: 'string', default: '3000' },
    url: { type: 'string' },
  },
});
const normal = Number(values.normal);
const peak = Number(values.peak);
const peakSeconds = Number(values['peak-seconds']);
const rate = Number(values.rate);
/** Messages that may be with the consumer: the backlog belongs into the broker. */
const CREDIT = 100;

await using broker = values.url === undefined ? await createBroker({ memory: true }) : undefined;
await using client = await connect({ servers: values.url ?? broker?.ready.ws ?? '' });
const topic = `requests-${process.pid}`;
const count = { sent: 0, taken: 0 };
let waitedMsMax = 0;

async function produce(): Promise<void> {
  await using producer = client.producer();
  const phases = [
    { perSecond: normal, seconds: 1 },
    { perSecond: peak, seconds: peakSeconds },
    { perSecond: normal, seconds: 1 },
  ];
  for (const { perSecond, seconds } of phases) {
    const pace = new Pace(perSecond);
    for (let index = 0; index < perSecond * seconds; index += 1) {
      await pace.next();
      while (!producer.push({ topic, body: { number: count.sent } })) await producer.ready();
      count.sent += 1;
    }
  }
  // Rejects if a single one was not stored.
  await producer.flush();
}

async function consume(signal: AbortSignal): Promise<void> {
  const pace = new Pace(rate);
  const group = `system-behind-${process.pid}`;
  const consumer = client.consumer({ topic, group, from: 'earliest', credit: CREDIT });
  await consumer.run(
    async (message) => {
      await pace.next();
      count.taken += 1;
      waitedMsMax = Math.max(waitedMsMax, Date.now() - message.storedAt);
    },
    { signal },
  );
}

const stop = new AbortController();
const consuming = consume(stop.signal);
const producing = produce();
let isProducing = true;
const ended = (): void => {
  isProducing = false;
};
producing.then(ended, ended);

console.log('second    sent/s   taken/s   backlog');
const highest = { sent: 0, taken: 0, backlog: 0 };
let second = 0;
while (isProducing || count.taken < count.sent) {
  const before = { ...count, atMs: performance.now() };
  await sleep(1000);
  second += 1;
  // On a busy machine a second is longer: rates are by the time that has passed.
  const seconds = (performance.now() - before.atMs) / 1000;
  const sent = Math.round((count.sent - before.sent) / seconds);
  const taken = Math.round((count.taken - before.taken) / seconds);
  const backlog = count.sent - count.taken;
  highest.sent = Math.max(highest.sent, sent);
  highest.taken = Math.max(highest.taken, taken);
  highest.backlog = Math.max(highest.backlog, backlog);
  const columns = [second, sent, taken, backlog].map((value, index) =>
    String(value).padStart(index === 0 ? 6 : 10),
  );
  console.log(columns.join(''));
}
await producing;
stop.abort();
await consuming;

console.log(
  `${count.sent} requests, ${count.taken} worked on, none lost or refused. At the peak ${highest.sent} came in a second; ` +
    `the system behind saw at most ${highest.taken}. The backlog reached ${highest.backlog}; the longest wait was ` +
    `${(waitedMsMax / 1000).toFixed(1)} s; after ${second} s everything was done.`,
);
