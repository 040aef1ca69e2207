/** A master and a slave as two processes, asynchronous: the slave's log is the master's, byte for byte, and can be read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { runCli } from '../../src/testing/cli-run.ts';
import { type BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { BrokerPair, factsOf, postJson, untilCaughtUp } from '../../src/testing/e2e-pair.ts';
import { RecordedTraffic } from '../../src/testing/e2e-traffic.ts';
import { HistoryChecker } from '../../src/testing/history-checker.ts';
import { HistoryRecorder } from '../../src/testing/history-recorder.ts';
import { QUIET_RUN } from '../../src/testing/history-report.ts';
import { connect } from '../../src/testing/patient-client.ts';

type Page = { readonly messages: readonly object[] };

async function pageOf(broker: BrokerProcess, topic: string, queueId: number): Promise<Page> {
  const client = await connect({ servers: [broker.ws] });
  try {
    const page = await client.fetch({ topic, queueId, offset: 0, max: 500 });
    // A message id names the broker that gave it.
    return { messages: page.messages.map((message) => ({ ...message, messageId: '' })) };
  } finally {
    await client.close();
  }
}

for (const shards of [1, 2]) {
  test(`the slave of ${shards} shards has the bytes of its master and gives the same messages`, async () => {
    const pair = new BrokerPair({ shards });
    try {
      const master = await pair.startMaster();
      const slave = await pair.startSlave(master);
      assert.equal(master.ready['role'], 'master');
      assert.equal(slave.ready['role'], 'slave');
      const recorder = new HistoryRecorder(
        systemClock,
        new HistoryChecker({ requirements: QUIET_RUN }),
      );
      const client = await connect({ servers: [master.ws] });
      const traffic = new RecordedTraffic({ client, recorder, topic: 'orders', group: 'billing' });
      recorder.phase('run');
      traffic.start();
      await until('enough is sent', () => traffic.acked >= 2000);
      await traffic.stop();
      await client.close();
      await untilCaughtUp(master, slave);

      for (let queueId = 0; queueId < 8; queueId += 1) {
        const [ofMaster, ofSlave] = [
          await pageOf(master, 'orders', queueId),
          await pageOf(slave, 'orders', queueId),
        ];
        assert.deepEqual(ofSlave.messages.length, ofMaster.messages.length);
        assert.ok(JSON.stringify(ofSlave) === JSON.stringify(ofMaster), `queue ${queueId}`);
      }
      const groups = async (broker: BrokerProcess): Promise<unknown> => {
        const group = (await (await fetch(`${broker.http}/api/groups/billing`)).json()) as {
          queues: { topicId: number; queueId: number; ackedThrough: number }[];
        };
        return group.queues.map(({ topicId, queueId, ackedThrough }) => [
          topicId,
          queueId,
          ackedThrough,
        ]);
      };
      assert.deepEqual(await groups(slave), await groups(master), 'groups come with the log');
      assert.equal((await fetch(`${slave.http}/readyz`)).status, 200);

      const facts = await factsOf(slave);
      await slave.stop();
      for (let shard = 0; shard < shards; shard += 1) {
        const end = facts.shards[shard]?.flushed ?? 0;
        assert.ok(end > 0);
        const [one, other] = [pair.log('a', shard), pair.log('b', shard)];
        assert.equal(Buffer.compare(one.bytes.subarray(0, end), other.bytes.subarray(0, end)), 0);
      }
    } finally {
      await pair.end();
    }
  });
}

test('a slave refuses what changes something, and names its master', async () => {
  const pair = new BrokerPair();
  try {
    const master = await pair.startMaster();
    const slave = await pair.startSlave(master);
    await postJson(`${master.http}/api/topics`, { topic: 'orders', queues: 2 });
    await until(
      'the topic has come',
      async () => (await fetch(`${slave.http}/api/topics/orders`)).status === 200,
    );
    const refusals = [
      await postJson(`${slave.http}/v1/topics/orders/messages`, { body: 'x' }),
      await postJson(`${slave.http}/api/topics`, { topic: 'more' }),
      await postJson(`${slave.http}/api/groups`, { group: 'g' }),
      await fetch(`${slave.http}/v1/topics/orders/messages?group=g&waitMs=0`),
    ];
    for (const response of refusals) {
      const body = (await response.json()) as { error?: { code: string; message: string } };
      const error = body.error ?? (body as unknown as { code: string; message: string });
      assert.equal(error.code, 'NOT_MASTER', JSON.stringify(body));
      assert.ok(error.message.includes(master.ws), error.message);
    }
    await fetch(`${master.http}/api/topics/orders`, { method: 'DELETE' });
    await until(
      'the topic has gone',
      async () => (await fetch(`${slave.http}/api/topics/orders`)).status === 404,
    );
    await until(
      'the slave follows',
      async () => (await factsOf(master)).shards[0]?.slaves[0]?.phase === 'streaming',
    );
    const doctor = await runCli(['doctor', '--url', slave.ws, '--json']);
    const findings = doctor.values.map(({ check, state }) => [check, state]);
    assert.deepEqual(
      findings.find(([check]) => check === 'replication'),
      ['replication', 'ok'],
    );
    assert.deepEqual(
      findings.find(([check]) => check === 'shard 0'),
      ['shard 0', 'ok'],
    );
    const status = await runCli(['admin', 'brokerStatus', '--url', master.ws]);
    assert.match(status.stdout, /master, epoch 1[\s\S]*broker-a\|1 +streaming/);
    const resumed = await runCli(['admin', 'resumeWrites', '--url', slave.ws, '--json']);
    assert.equal(resumed.code, 1, resumed.stdout);
    const metrics = await master.metric('sluice_replication_lag_bytes');
    assert.deepEqual([...metrics.keys()], ['{shard="0",slave="broker-a|1"}']);
  } finally {
    await pair.end();
  }
});
