/** An empty slave that comes late, a slave that must begin anew from files, and strangers at the HA port. */
import assert from 'node:assert/strict';
import { connect as connectSocket } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { type BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { BrokerPair, factsOf, postJson, untilCaughtUp } from '../../src/testing/e2e-pair.ts';
import { RecordedTraffic } from '../../src/testing/e2e-traffic.ts';
import { HistoryChecker } from '../../src/testing/history-checker.ts';
import { HistoryRecorder } from '../../src/testing/history-recorder.ts';
import { QUIET_RUN } from '../../src/testing/history-report.ts';
import { connect } from '../../src/testing/patient-client.ts';

const SECRET = 'a-credential-of-the-pair-only';

type TopicStatus = {
  readonly queues: readonly { queueId: number; maxOffset: number }[];
};

async function underLoad(
  master: BrokerProcess,
  action: (more: (count: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  const checker = new HistoryChecker({ requirements: QUIET_RUN });
  const recorder = new HistoryRecorder(systemClock, checker);
  const client = await connect({ servers: [master.ws] });
  try {
    recorder.phase('run');
    const bodyBytes = (): number => 2000;
    const traffic = new RecordedTraffic({ client, recorder, topic: 'orders', bodyBytes });
    const more = (count: number): Promise<void> => {
      const target = traffic.acked + count;
      return until('more is acknowledged', () => traffic.acked >= target);
    };
    traffic.start();
    await action(more);
    await traffic.stop();
  } finally {
    await client.close();
  }
}

test('an empty slave catches up while the master is under load, from segments and then from the window', async () => {
  const pair = new BrokerPair({ flushDiskType: 'async' });
  try {
    const master = await pair.startMaster();
    let slave: BrokerProcess | undefined;
    await underLoad(master, async (more) => {
      await more(1500);
      slave = await pair.startSlave(master);
      await more(500);
    });
    await untilCaughtUp(master, slave as BrokerProcess);
    const { shards } = await factsOf(slave as BrokerProcess);
    const end = shards[0]?.flushed ?? 0;
    assert.ok(end > 3 * 1024 * 1024, 'more than the window');
    await slave?.stop();
    const [one, other] = [pair.log('a'), pair.log('b')];
    assert.equal(one.start, other.start);
    assert.equal(Buffer.compare(one.bytes.subarray(0, end), other.bytes.subarray(0, end)), 0);
  } finally {
    await pair.end();
  }
});

test('a slave that ends before the first segment that is left gets the log as files, and goes on from there', async () => {
  const pair = new BrokerPair({ flushDiskType: 'async', retentionBytes: '2MiB' });
  try {
    const master = await pair.startMaster();
    await underLoad(master, async (more) => {
      await more(2500);
      await until('retention has let something go', () => pair.hasLetGo('a'));
      const slave = await pair.startSlave(master);
      await slave.logged('log-replaced');
      await until(
        'it follows',
        async () => (await factsOf(slave)).shards[0]?.state === 'streaming',
      );
      await more(200);
    });
    const slave = pair.running[1] as BrokerProcess;
    await untilCaughtUp(master, slave);
    const page = async (broker: BrokerProcess): Promise<string> => {
      const client = await connect({ servers: [broker.ws] });
      const status = (await (
        await fetch(`${broker.http}/api/topics/orders`)
      ).json()) as TopicStatus;
      const fetched: unknown[] = [];
      for (const { queueId, maxOffset } of status.queues) {
        // Retention goes on meanwhile, on each broker by itself.
        const offset = Math.max(0, maxOffset - 10);
        const place = { topic: 'orders', queueId, offset, max: 10 };
        const { messages } = await client.fetch(place);
        fetched.push(
          maxOffset,
          messages.map((one) => [one.queueOffset, one.body]),
        );
      }
      await client.close();
      return JSON.stringify(fetched);
    };
    assert.ok((await page(slave)) === (await page(master)), 'the same messages');
  } finally {
    await pair.end();
  }
});

test('nobody without the credential moves a position, and who claims more than was sent is cut off', async () => {
  const pair = new BrokerPair();
  try {
    const secured = { brokerRole: 'SYNC_MASTER', haToken: SECRET, brokerIP2: '127.0.0.1' };
    const master = await pair.startMaster(secured);
    const wrong = await pair.start('c', {
      ...{ brokerRole: 'SLAVE', brokerId: 2, haMasterAddress: String(master.ready['ha']) },
      haToken: 'another-credential-altogether',
    });
    const without = await pair.start('d', {
      ...{ brokerRole: 'SLAVE', brokerId: 3, haMasterAddress: String(master.ready['ha']) },
    });
    await until('both were refused', async () => (await factsOf(master)).refusals >= 2);
    const port = Number(String(master.ready['ha']).split(':')[1]);
    const garbage = connectSocket(port, '127.0.0.1');
    await new Promise<void>((resolve) => {
      garbage.on('close', () => resolve());
      garbage.on('error', () => {});
      garbage.on('connect', () => garbage.write(Buffer.alloc(64 * 1024, 0x5a)));
      garbage.resume();
    });
    for (const stranger of [wrong, without]) {
      const [shard] = (await factsOf(stranger)).shards;
      assert.equal(shard?.appended, 0);
      assert.equal(shard?.replicated, 0);
    }
    const [shard] = (await factsOf(master)).shards;
    assert.equal(shard?.replicated, 0);
    assert.equal(shard?.state, 'undecided');
    assert.deepEqual(shard?.slaves, []);
    const slave = await pair.startSlave(master, { haToken: SECRET });
    await slave.logged('following');
    await until(
      'it takes sends',
      async () => (await fetch(`${master.http}/readyz`)).status === 200,
    );
    assert.equal(
      (await postJson(`${master.http}/v1/topics/orders/messages`, { body: 'x' })).status,
      200,
    );
    const said = JSON.stringify([...master.lines, ...wrong.lines, ...slave.lines]);
    assert.equal(said.includes(SECRET), false, 'the credential is in no log');
  } finally {
    await pair.end();
  }
});
