/** Clients of `ali-ons` under test, after they were closed: what was under way still fails, and must not end the tests. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { AliClients, loadAliOns } from '../../src/testing/ali-ons.ts';
import { until } from '../../src/testing/e2e-broker.ts';

const ons = loadAliOns();

it('an error of a connection that was made after the end is kept, and ends nothing', {
  skip: ons === undefined && 'ali-ons is not installed',
}, async () => {
  assert.ok(ons !== undefined);
  const nobody = `127.0.0.1:${await claimPort()}`;
  const clients = await AliClients.start(ons, nobody);
  const producer = await clients.producer('ali-producers', 'closed');
  const consumer = await clients.consumer('ali-consumers', 'closed too');
  await clients.end();
  const dial = async (client: typeof producer | typeof consumer): Promise<void> => {
    const before = clients.errors.length;
    await assert.rejects(client._mqClient.invoke(nobody, { encode: () => Buffer.alloc(4) }));
    await until('the error is heard', () => clients.errors.length > before);
    assert.match(String(clients.errors.at(-1)), /ECONNREFUSED/);
  };
  await dial(producer);
  await dial(consumer);
});
