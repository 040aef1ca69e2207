/** A client and a fake broker for one test, and waiting on state. Everything is closed when the test ends. */
import { sleep } from '../base/clock.ts';
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

/** Resolves when `condition` holds; the runner's timeout is the only clock. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(0);
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
