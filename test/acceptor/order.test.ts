/** Messages of one queue come in its order, whatever is given back for want of credit and however late files are read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { KIB } from '../../src/base/units.ts';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';
import type { FakeConnection } from '../../src/testing/fake-connection.ts';

const BODY = 'x'.repeat(1500);
const QUEUES = 4;
const STEPS = 400;
const SEED = Number(process.env['SEED'] ?? 5);

/** The last offset of each queue; fails when one comes that is not the next. */
class OrderCheck {
  private readonly next = new Map<number, number>();
  count = 0;

  take(client: FakeConnection, what: string): void {
    for (const message of client.take('message')) {
      const queueId = message['queueId'] as number;
      const expected = this.next.get(queueId) ?? 0;
      assert.equal(message['queueOffset'], expected, `${what}, queue ${queueId}`);
      assert.equal(message['attempt'], 1);
      this.next.set(queueId, expected + 1);
      this.count += 1;
    }
  }
}

async function run(seed: number, tailBytes: number): Promise<void> {
  const prng = seededPrng(seed);
  const rig = await AcceptorRig.start({ shards: 2, shardConfig: { tailBytes } });
  const client = rig.connect();
  const producer = rig.connect();
  const subscribe = { op: 'subscribe', topic: 't', group: 'g', from: 'earliest', credit: 3 };
  const { subscription } = (await rig.ask(client, subscribe)) as unknown as {
    subscription: number;
  };
  const check = new OrderCheck();
  let sent = 0;
  for (let step = 0; step < STEPS; step += 1) {
    if (sent < 600 && prng.chance(0.6)) {
      const count = 1 + prng.integer(6);
      const messages = Array.from({ length: count }, () => ({ body: BODY }));
      const queueId = prng.integer(QUEUES);
      rig.acceptor.text(producer, JSON.stringify({ op: 'send', topic: 't', queueId, messages }));
      sent += count;
    }
    if (prng.chance(0.5)) {
      const more = 1 + prng.integer(5);
      rig.acceptor.text(client, JSON.stringify({ op: 'credit', subscription, more }));
    }
    let turns = prng.integer(5);
    await rig.settle(() => {
      turns -= 1;
      return turns < 0;
    });
    check.take(client, `seed ${seed}, step ${step}`);
  }
  rig.acceptor.text(client, JSON.stringify({ op: 'credit', subscription, more: 10_000 }));
  await rig.settle();
  check.take(client, `seed ${seed}, at the end`);
  const refused = producer.take('error').length;
  assert.equal(refused, 0);
  assert.equal(check.count, sent);
}

for (const [name, tailBytes] of [
  ['from memory', 1024 * KIB],
  ['from files', 64 * KIB],
] as const) {
  test(`with credit in drops and ${name}, each queue comes in order (SEED=${SEED})`, async () => {
    for (let seed = SEED; seed < SEED + 6; seed += 1) await run(seed, tailBytes);
  });
}
