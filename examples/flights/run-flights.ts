/**
 * Streams the flights through a broker: several producers in bursts, each airport with one of them so that its order is
 * defined; a group of three that computes the mean delay of each airport. The proof sees every delivery.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, connect } from 'sluicemq/client';
import type { Flight } from './load-flights.ts';
import type { Proof } from './proof.ts';

const PRODUCERS = 4;
const MEMBERS = 3;
/** Records of one burst of one producer, and milliseconds between two bursts. */
const BURST = 2500;
const BURST_PAUSE_MS = 100;
/** Milliseconds that one more delivery is waited for. */
const STALL_MS = 30_000;

export type Run = {
  readonly topic: string;
  readonly group: string;
  /** Records that a producer was told are stored, and how many of those with durability `disk`. */
  acked: number;
  onDisk: number;
  connects: number;
};

/**
 * @param onAcked - called after each burst
 * @throws what a producer or consumer could not do; when deliveries stop before all records have come
 */
export async function runFlights(
  url: string,
  flights: readonly Flight[],
  proof: Proof,
  run: Run,
  onAcked: () => void,
): Promise<void> {
  const clients = await Promise.all(
    Array.from({ length: PRODUCERS + MEMBERS }, () =>
      connect({
        servers: url,
        onStatus: ({ type }) => {
          if (type === 'connected') run.connects += 1;
        },
      }),
    ),
  );
  try {
    const members = clients.slice(PRODUCERS);
    const consuming = consume(members, proof, run, flights.length);
    const producing = clients
      .slice(0, PRODUCERS)
      .map((client, index) => produce(client, shareOf(flights, index), run, onAcked));
    await Promise.all([consuming, ...producing]);
    await Promise.all(clients.map((client) => client.drain()));
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
}

/** The flights of the airports that belong to one producer, in the order of the file. */
function shareOf(flights: readonly Flight[], producer: number): readonly Flight[] {
  const airports = [...new Set(flights.map(({ origin }) => origin))];
  const own = new Set(airports.filter((_, index) => index % PRODUCERS === producer));
  return flights.filter(({ origin }) => own.has(origin));
}

async function produce(
  client: Client,
  flights: readonly Flight[],
  run: Run,
  onAcked: () => void,
): Promise<void> {
  const producer = client.producer({
    onReceipt: ({ messageCount, durability }) => {
      run.acked += messageCount;
      if (durability === 'disk') run.onDisk += messageCount;
    },
  });
  for (let first = 0; first < flights.length; first += BURST) {
    const burst = flights.slice(first, first + BURST);
    await producer.sendBatch(
      burst.map((flight) => ({ topic: run.topic, key: flight.origin, body: { ...flight } })),
    );
    onAcked();
    await sleep(BURST_PAUSE_MS);
  }
}

async function consume(
  clients: readonly Client[],
  proof: Proof,
  run: Run,
  records: number,
): Promise<void> {
  const consumers = clients.map((client) =>
    client.consumer({ topic: run.topic, group: run.group, from: 'earliest' }),
  );
  const closeAll = (): Promise<unknown> =>
    Promise.all(consumers.map((consumer) => consumer.drain()));
  const members = consumers.map(async (consumer) => {
    for await (const delivery of consumer.batches()) {
      for (const message of delivery) proof.take(message.key, message.json<Flight>());
      // One ack for the whole batch; a crash before it is durable delivers the batch again.
      delivery.ackAll();
      if (proof.distinct === records) void closeAll();
    }
  });
  const stalled = new AbortController();
  await Promise.race([Promise.all(members), watch(proof, stalled.signal)]);
  stalled.abort();
}

/** Rejects when nothing has been delivered for a while. */
async function watch(proof: Proof, signal: AbortSignal): Promise<void> {
  for (let before = -1; !signal.aborted; ) {
    if (proof.delivered === before)
      throw new Error(`no delivery for ${STALL_MS / 1000} s; ${proof.distinct} records have come`);
    before = proof.delivered;
    await sleep(STALL_MS, undefined, { signal }).catch(() => {});
  }
}
