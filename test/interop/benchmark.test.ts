/** RocketMQ's bundled benchmark, as it is: its producer's messages are stored each once and in order, and its consumer gets them. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { REQUEST_CODES } from '../../src/protocol/remoting/request-codes.ts';
import { until } from '../../src/testing/e2e-broker.ts';
import { decodeMessages } from '../../src/testing/message-decoder.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';
import { BenchmarkProgram, fetchBenchmark } from '../../src/testing/rocketmq-benchmark.ts';
import { RocketmqTarget, targetObstacle } from '../../src/testing/rocketmq-target.ts';

const TOPIC = 'bench';
const QUEUES = 4;
const MESSAGES = 2_000;
const BYTES = 128;

const fetched = fetchBenchmark();
const obstacle = 'obstacle' in fetched ? fetched.obstacle : targetObstacle();

/** The next offset of the group at each queue, summed. */
async function consumed(broker: RemotingClient): Promise<number> {
  const offsets = await Promise.all(
    Array.from({ length: QUEUES }, async (_, queueId) => {
      const { fields } = await broker.ask(REQUEST_CODES.QUERY_CONSUMER_OFFSET, {
        fields: { consumerGroup: 'benchmark_consumer', topic: TOPIC, queueId: String(queueId) },
      });
      return Number(fields.get('offset') ?? 0);
    }),
  );
  return offsets.reduce((sum, offset) => sum + offset, 0);
}

/** Reads a queue to its end, and checks each message. @returns how many there are */
async function readQueue(broker: RemotingClient, queueId: number): Promise<number> {
  for (let offset = 0; ; ) {
    const { body } = await broker.ask(REQUEST_CODES.PULL_MESSAGE, {
      fields: {
        ...{ consumerGroup: 'reader', topic: TOPIC, queueId: String(queueId) },
        ...{ queueOffset: String(offset), maxMsgNums: '32', sysFlag: '4', commitOffset: '0' },
        ...{ suspendTimeoutMillis: '0', subscription: '*', subVersion: '0' },
      },
    });
    const decoded = decodeMessages(body);
    if ('refusal' in decoded) assert.fail(decoded.refusal);
    if (decoded.messages.length === 0) return offset;
    for (const message of decoded.messages) {
      assert.equal(message.queueOffset, offset);
      assert.equal(message.body.length, BYTES);
      offset += 1;
    }
  }
}

it('the bundled benchmark of RocketMQ runs and prints its figures', {
  skip: obstacle ?? false,
}, async (t) => {
  assert.ok('classPath' in fetched);
  const target = await RocketmqTarget.start();
  t.after(() => target.close());
  const broker = await RemotingClient.connect(Number(target.brokerAddress.split(':')[1]));
  t.after(() => broker.close());
  await broker.ask(REQUEST_CODES.UPDATE_AND_CREATE_TOPIC, {
    fields: {
      ...{ topic: TOPIC, defaultTopic: 'TBW102', perm: '6', topicFilterType: 'SINGLE_TAG' },
      ...{ readQueueNums: String(QUEUES), writeQueueNums: String(QUEUES) },
      ...{ topicSysFlag: '0', order: 'false' },
    },
  });
  const words = ['-n', target.namesrv, '-t', TOPIC];
  const { classPath } = fetched;
  const consumer = new BenchmarkProgram('Consumer', classPath, target.home('consumer'), [
    ...words,
    ...['-p', 'false'],
  ]);
  t.after(() => consumer.stop());
  const producer = new BenchmarkProgram('Producer', classPath, target.home('producer'), [
    ...[...words, '-w', '4', '-s', String(BYTES), '-q', String(MESSAGES)],
  ]);
  t.after(() => producer.stop());
  await producer.ended;
  const sent = producer.lines.at(-1);
  assert.equal(sent?.get('Send Total'), MESSAGES);
  // On a machine that does other things too, its own time limit of 3 s may end a send whose message is stored.
  const failed = sent.get('Send Failed') ?? Number.NaN;
  assert.ok((sent.get('Send TPS') ?? 0) > 0);
  const counts = await Promise.all(
    Array.from({ length: QUEUES }, (_, queueId) => readQueue(broker, queueId)),
  );
  const stored = counts.reduce((sum, count) => sum + count, 0);
  assert.ok(stored >= MESSAGES - failed, `${stored} stored, ${failed} failed`);
  if (failed === 0) assert.equal(stored, MESSAGES);
  await until('all is consumed', async () => (await consumed(broker)) === stored);
  await consumer.printed(1);
  const got = consumer.lines[0];
  assert.ok(got !== undefined && Number.isFinite(got.get('Consume TPS')), JSON.stringify(got));
  t.diagnostic(JSON.stringify({ sent: [...sent], got: [...got] }));
});
