/** A master that is gone for good, or comes back: the slave is promoted, and nothing that was acknowledged is lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { type BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { BrokerPair, factsOf, postJson, untilCaughtUp } from '../../src/testing/e2e-pair.ts';
import { RecordedTraffic } from '../../src/testing/e2e-traffic.ts';
import { HistoryChecker } from '../../src/testing/history-checker.ts';
import { HistoryRecorder } from '../../src/testing/history-recorder.ts';
import { QUIET_RUN } from '../../src/testing/history-report.ts';
import { connect } from '../../src/testing/patient-client.ts';

async function promote(broker: BrokerProcess, body: object = {}): Promise<Record<string, unknown>> {
  const response = await postJson(`${broker.http}/api/replication/promote`, body);
  return (await response.json()) as Record<string, unknown>;
}

/** The same once the slave has noticed that its master is gone. */
async function promoteAlone(broker: BrokerProcess): Promise<Record<string, unknown>> {
  let answer: Record<string, unknown> = {};
  await until('the slave is alone', async () => {
    answer = await promote(broker);
    return !JSON.stringify(answer).includes('alive and connected');
  });
  return answer;
}

async function sendOne(broker: BrokerProcess, body: string): Promise<Response> {
  return postJson(`${broker.http}/v1/topics/orders/messages`, { body });
}

test('a synchronous master is killed under load and its disk is destroyed: the promoted slave has all that was acknowledged', async () => {
  const pair = new BrokerPair();
  const ports = [await claimPort(), await claimPort()];
  const checker = new HistoryChecker({ requirements: QUIET_RUN });
  const recorder = new HistoryRecorder(systemClock, checker);
  try {
    const master = await pair.startMaster({ brokerRole: 'SYNC_MASTER' }, ports[0]);
    const slave = await pair.start(
      'b',
      { brokerRole: 'SLAVE', brokerId: 1, haMasterAddress: String(master.ready['ha']) },
      ports[1],
    );
    await until(
      'it takes sends',
      async () => (await fetch(`${master.http}/readyz`)).status === 200,
    );
    const client = await connect({ servers: [master.ws, slave.ws], reconnectMaxMs: 200 });
    try {
      recorder.phase('run');
      const traffic = new RecordedTraffic({ client, recorder, topic: 'orders' });
      traffic.start();
      await until('enough is sent', () => traffic.acked >= 1000);
      recorder.fault('kill', 'master', true);
      await master.kill();
      pair.destroyDisk('a');
      const answer = await promoteAlone(slave);
      assert.equal(answer['role'], 'master', JSON.stringify(answer));
      assert.equal(answer['epoch'], 2);
      recorder.fault('kill', 'master', false);
      const target = traffic.acked + 500;
      await until('producers go on at the new master', () => traffic.acked >= target);
      recorder.phase('heal');
      await traffic.stop();
      await traffic.drain();
      const report = checker.finish();
      assert.deepEqual(report.anomalies, []);
      assert.equal(report.verdict, 'valid', report.unknownReasons.join('; '));
    } finally {
      await client.close();
    }
    await slave.stop();
    const again = await pair.start('b', {
      brokerRole: 'SLAVE',
      brokerId: 1,
      haMasterAddress: '127.0.0.1:1',
    });
    assert.equal(again.ready['role'], 'master', 'what a person has decided holds');
    assert.equal(again.ready['epoch'], 2);
  } finally {
    await pair.end();
  }
});

test('an old master that returns finds itself fenced, puts what nobody has into quarantine, and follows', async () => {
  const pair = new BrokerPair();
  try {
    const [haPort, slavePort] = [await claimPort(), await claimPort()];
    let old = await pair.startMaster({ haListenPort: haPort });
    const slave = await pair.startSlave(old, { haListenPort: slavePort });
    await postJson(`${old.http}/api/topics`, { topic: 'orders', queues: 1 });
    for (let n = 0; n < 50; n += 1) assert.equal((await sendOne(old, `both ${n}`)).status, 200);
    await untilCaughtUp(old, slave);
    await slave.stop();
    for (let n = 0; n < 5; n += 1) assert.equal((await sendOne(old, `only here ${n}`)).status, 200);
    await old.kill();

    const young = await pair.startSlave(old, { haListenPort: slavePort });
    const promoted = await promoteAlone(young);
    assert.equal(promoted['epoch'], 2, JSON.stringify(promoted));
    for (let n = 0; n < 20; n += 1) assert.equal((await sendOne(young, `new ${n}`)).status, 200);

    old = await pair.startMaster({
      haListenPort: haPort,
      haMasterAddress: String(young.ready['ha'] ?? `127.0.0.1:${slavePort}`),
    });
    assert.equal(old.ready['role'], 'slave');
    await untilCaughtUp(young, old);
    assert.ok(pair.hasQuarantine('a'));
    assert.equal((await factsOf(old)).epoch, 2);
    const refused = (await (await sendOne(old, 'no')).json()) as { error: { code: string } };
    assert.equal(refused.error.code, 'NOT_MASTER');
    const client = await connect({ servers: [old.ws] });
    const page = await client.fetch({ topic: 'orders', queueId: 0, offset: 0, max: 500 });
    await client.close();
    assert.equal(page.maxOffset, 70);
  } finally {
    await pair.end();
  }
});

test('a master that is alone with a newer epoch takes nothing any more; one with a peer follows it', async () => {
  const pair = new BrokerPair();
  try {
    const [haPort, slavePort] = [await claimPort(), await claimPort()];
    const master = await pair.startMaster({ haListenPort: haPort });
    const slave = await pair.startSlave(master, { haListenPort: slavePort });
    await postJson(`${master.http}/api/topics`, { topic: 'orders', queues: 1 });
    await untilCaughtUp(master, slave);
    const refused = await promote(slave);
    assert.match(JSON.stringify(refused), /alive and connected/);
    assert.equal((await promote(slave, { force: true }))['role'], 'master');
    await until(
      'the old master is fenced',
      async () => (await factsOf(master)).shards[0]?.state === 'fenced',
    );
    const answer = (await (await sendOne(master, 'x')).json()) as { error: { code: string } };
    assert.equal(answer.error.code, 'NOT_MASTER');
    assert.equal((await fetch(`${master.http}/readyz`)).status, 503);
    assert.equal((await sendOne(slave, 'y')).status, 200);
  } finally {
    await pair.end();
  }
});
