/** A synchronous master and its slave as two processes: what an acknowledgement says, and what it is when the slave is gone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { BrokerPair, factsOf, postJson } from '../../src/testing/e2e-pair.ts';

const SYNC = { brokerRole: 'SYNC_MASTER', syncFlushTimeoutMs: 800 };

type Answer = {
  readonly durability?: string;
  readonly error?: { readonly code: string; readonly stored: unknown };
};

async function send(broker: BrokerProcess): Promise<Answer> {
  const response = await postJson(`${broker.http}/v1/topics/orders/messages`, { body: 'x' });
  const body = (await response.json()) as Answer & { receipts?: readonly Answer[] };
  return body.receipts?.[0] ?? body;
}

/** What is in time is replicated; a busy machine may be later than the limit of this test. */
async function untilReplicated(broker: BrokerProcess): Promise<void> {
  await until('a receipt says replicated', async () => {
    const answer = await send(broker);
    const code = answer.error?.code;
    if (code === 'FLUSH_SLAVE_TIMEOUT' || code === 'SLAVE_NOT_AVAILABLE') return false;
    assert.equal(answer.durability, 'replicated', JSON.stringify(answer));
    return true;
  });
}

async function untilOpen(broker: BrokerProcess): Promise<void> {
  await until('it takes sends', async () => (await fetch(`${broker.http}/readyz`)).status === 200);
}

test('a receipt says replicated; without the slave nothing is stored, or the outcome is unknown; then it goes on', async () => {
  const pair = new BrokerPair();
  try {
    const master = await pair.startMaster(SYNC);
    const ready = await fetch(`${master.http}/readyz`);
    assert.equal(ready.status, 503);
    assert.match(JSON.stringify(await ready.json()), /compared its log with a slave/);
    assert.equal((await send(master)).error?.code, 'SLAVE_NOT_AVAILABLE');

    let slave = await pair.startSlave(master);
    await untilOpen(master);
    await untilReplicated(master);

    await slave.freeze();
    const timedOut = await send(master);
    assert.equal(timedOut.error?.code, 'FLUSH_SLAVE_TIMEOUT', JSON.stringify(timedOut));
    assert.equal(timedOut.error?.stored, 'unknown');
    slave.signal('SIGCONT');
    await until('the slave goes on', async () => (await send(master)).durability === 'replicated');

    await slave.kill();
    await until(
      'the master sees it',
      async () => (await send(master)).error?.code === 'SLAVE_NOT_AVAILABLE',
    );
    assert.match(await (await fetch(`${master.http}/readyz`)).text(), /no slave is connected/);
    slave = await pair.startSlave(master);
    await until('the slave is back', async () => (await send(master)).durability === 'replicated');
    await until('all is confirmed', async () => {
      const [shard] = (await factsOf(master)).shards;
      return (
        shard !== undefined &&
        shard.replicated === shard.appended &&
        shard.commit === shard.appended
      );
    });
  } finally {
    await pair.end();
  }
});
