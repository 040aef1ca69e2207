/** A client and a fake broker for one test, and waiting on state. Everything is closed when the test ends. */
import assert from 'node:assert/strict';
import { sleep, systemClock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import type { Client } from '../client/client.ts';
import { connectWith } from '../client/connect.ts';
import { nodeRuntime } from '../client/node.ts';
import type { ClientRuntime } from '../client/runtime.ts';
import type { ConnectOptions, StatusEvent } from '../client/types.ts';
import { FakeBroker } from './fake-broker.ts';

export type ClientRig = {
  readonly broker: FakeBroker;
  readonly client: Client;
  readonly events: StatusEvent[];
};

/** A broker in the same process may be slow to answer first, on a machine that does other things too. */
const CONNECT_MS_MAX = 60_000;

/** Runs `body` with a broker and a client that reconnects within milliseconds. */
export async function withClient(
  body: (rig: ClientRig) => Promise<void>,
  options: Partial<ConnectOptions> = {},
  runtime: Partial<ClientRuntime> = {},
): Promise<void> {
  const broker = await FakeBroker.start();
  const events: StatusEvent[] = [];
  const client = await connectWith(
    { ...nodeRuntime(), ...runtime },
    {
      servers: broker.url,
      reconnectMinMs: 1,
      reconnectMaxMs: 5,
      connectTimeoutMs: CONNECT_MS_MAX,
      onStatus: (event) => events.push(event),
      ...options,
    },
  );
  try {
    await body({ broker, client, events });
  } finally {
    await client.close();
    await broker.close();
  }
}

/** Milliseconds until something that is waited for must have happened. */
const WAIT_MS_MAX = 120_000;

/** Resolves when `condition` holds. @throws TIMEOUT: a test that waits for ever holds up all others */
export async function until(condition: () => boolean): Promise<void> {
  const endMs = systemClock.monotonicMs() + WAIT_MS_MAX;
  while (!condition()) {
    if (systemClock.monotonicMs() > endMs) throw new SluiceError('TIMEOUT', `not: ${condition}`);
    await sleep(0);
  }
}

/** Resolves with what `promise` rejected with. */
export async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not reject');
}

/** Sends messages 0 to `count - 1` to the topic `t`, with keys, tags `even` and `odd`, and properties. */
export async function fillTopic(client: Client, count: number): Promise<void> {
  await client.producer({ batchBytes: 1024 }).sendBatch(
    Array.from({ length: count }, (_, index) => ({
      topic: 't',
      key: `k${index % 5}`,
      tag: index % 2 === 0 ? 'even' : 'odd',
      properties: { index: `${index}` },
      body: `${index}`,
    })),
  );
}

/** Messages of the topic `t` that the group `g` has acked. */
export function ackedCount(broker: FakeBroker): number {
  return broker.group('g', 't', 'latest').reduce((sum, queue) => sum + queue.acked.size, 0);
}

/** Each text 0 to `count - 1` is stored once, and those of one key in rising order. */
export function assertOrderPerKey(
  messages: readonly { readonly key: string; readonly text: string }[],
  count: number,
): void {
  assert.equal(messages.length, count);
  assert.equal(new Set(messages.map(({ text }) => text)).size, count, 'each is stored once');
  const last = new Map<string, number>();
  for (const { key, text } of messages) {
    assert.ok(Number(text) > (last.get(key) ?? -1), `${text} of ${key} comes too late`);
    last.set(key, Number(text));
  }
}
