/** Bodies about groups: what clients of each kind write is understood, what we write is what they and RocketMQ's tools read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommandView } from '../../../src/protocol/remoting/command.ts';
import { decodeCommand } from '../../../src/protocol/remoting/command-decoder.ts';
import * as bodies from '../../../src/protocol/remoting/group-bodies-codec.ts';
import * as heartbeat from '../../../src/protocol/remoting/heartbeat-codec.ts';
import type { Decoded } from '../../../src/protocol/remoting/lenient-json.ts';
import * as samples from '../../../src/testing/decoders-groups.ts';
import { readGolden } from '../../../src/testing/golden.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function valueIn<Value>(result: Decoded<Value>): Value {
  if ('refusal' in result) throw result.refusal;
  return result.value;
}

test('a heartbeat of the Java client', () => {
  assert.deepEqual(valueIn(heartbeat.decodeHeartbeat(bytesOf(samples.JAVA_HEARTBEAT))), {
    clientId: '10.0.0.9@4711#123',
    producerGroups: ['CLIENT_INNER_PRODUCER'],
    consumers: [
      {
        group: 'g',
        consumeType: 'CONSUME_PASSIVELY',
        messageModel: 'CLUSTERING',
        fromWhere: 'CONSUME_FROM_LAST_OFFSET',
        subscriptions: [
          { topic: 'T1', expressionType: 'TAG', expression: 'a||b', version: 1700000000000 },
          { topic: '%RETRY%g', expressionType: 'TAG', expression: '*', version: 1700000000001 },
        ],
      },
    ],
  });
});

test('a heartbeat of ali-ons, which leaves the type of the expression out', () => {
  const { consumers, producerGroups } = valueIn(
    heartbeat.decodeHeartbeat(bytesOf(samples.ALI_HEARTBEAT)),
  );
  assert.deepEqual(producerGroups, []);
  assert.deepEqual(consumers[0]?.subscriptions, [
    { topic: 'T1', expressionType: 'TAG', expression: '*', version: 1700000000000 },
  ]);
});

test('what is no heartbeat is refused with the field that is wrong', () => {
  for (const [text, field] of [
    ['{}', /HeartbeatData\.clientID is missing/],
    ['{"clientID":"c","consumerDataSet":[{}]}', /consumerDataSet\[0\]\.groupName is missing/],
    [
      '{"clientID":"c","consumerDataSet":[{"groupName":"g","messageModel":"BOTH"}]}',
      /CLUSTERING or BROADCASTING/,
    ],
    [
      '{"clientID":"c","consumerDataSet":[{"groupName":"g","subscriptionDataSet":[{"topic":1}]}]}',
      /subscriptionDataSet\[0\]\.topic is 1/,
    ],
    ['no JSON', /no JSON/],
  ] as const)
    assert.throws(() => valueIn(heartbeat.decodeHeartbeat(bytesOf(text))), field);
});

test('queues to lock, and those that are', () => {
  assert.deepEqual(valueIn(bodies.decodeLockBatch(bytesOf(samples.LOCK_BATCH))), {
    group: 'g',
    clientId: 'cid',
    queues: [
      { brokerName: 'broker-a', topic: 'T1', queueId: 0 },
      { brokerName: '', topic: 'T1', queueId: 3 },
    ],
  });
  assert.equal(
    textOf(bodies.encodeLocked([{ topic: 'T1', queueId: 0, brokerName: 'broker-a' }])),
    '{"lockOKMQSet":[{"brokerName":"broker-a","queueId":0,"topic":"T1"}]}',
  );
});

test('offsets by queue in the very form that the Go client cuts apart', () => {
  const at = (queueId: number) => ({ topic: 'T1', queueId, brokerName: 'broker-a' });
  assert.equal(
    textOf(bodies.encodeOffsetTable([[at(0), 5] as const, [at(1), 6] as const])),
    '{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T1"}:5,{"brokerName":"broker-a","queueId":1,"topic":"T1"}:6}}',
  );
  assert.equal(
    textOf(bodies.encodeOffsetList([[at(0), 5]])),
    '{"offsetTable":[{"brokerName":"broker-a","queueId":0,"topic":"T1","offset":5}]}',
  );
});

test('members and connections as tools read them', () => {
  assert.equal(textOf(bodies.encodeConsumerList(['a', 'b'])), '{"consumerIdList":["a","b"]}');
  const connection = { clientId: 'a', clientAddr: '10.0.0.9:1', language: 'JAVA', version: 479 };
  const text = '[{"clientAddr":"10.0.0.9:1","clientId":"a","language":"JAVA","version":479}]';
  assert.equal(textOf(bodies.encodeProducerConnection([connection])), `{"connectionSet":${text}}`);
  const subscription = { topic: 'T1', expressionType: 'TAG', expression: 'a || bc', version: 7 };
  assert.equal(
    textOf(
      bodies.encodeConsumerConnection({
        connections: [connection],
        consumeType: 'CONSUME_PASSIVELY',
        messageModel: 'CLUSTERING',
        fromWhere: 'CONSUME_FROM_LAST_OFFSET',
        subscriptions: [subscription],
      }),
    ),
    `{"connectionSet":${text},"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","subscriptionTable":{"T1":{"classFilterMode":false,"codeSet":[97,3137],"expressionType":"TAG","subString":"a || bc","subVersion":7,"tagsSet":["a","bc"],"topic":"T1"}}}`,
  );
});

test('what a consumer asks to be checked at its start', () => {
  assert.deepEqual(valueIn(heartbeat.decodeCheckClient(bytesOf(samples.CHECK_CLIENT))), {
    clientId: 'c',
    group: 'g',
    subscription: { topic: 'T1', expressionType: 'SQL92', expression: 'a > 1', version: 1 },
  });
});

test('a heartbeat of the Go client, whose versions are nanoseconds', () => {
  const frame = readGolden('remoting/heart-beat/go-2-json.bin');
  const view = new CommandView();
  assert.equal(decodeCommand(frame, view), 'ok');
  const { consumers } = valueIn(heartbeat.decodeHeartbeat(view.toCommand().body));
  const versions = consumers.flatMap(({ subscriptions }) => subscriptions.map((s) => s.version));
  assert.ok(versions.length > 0 && versions.every((version) => version > 1e18), `${versions}`);
});
