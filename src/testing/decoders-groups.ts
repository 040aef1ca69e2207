/** The decoders of what RocketMQ's clients say about themselves. */
import type { SluiceError } from '../base/errors.ts';
import { decodeGroupConfig } from '../protocol/remoting/admin-bodies-codec.ts';
import { decodeLockBatch } from '../protocol/remoting/group-bodies-codec.ts';
import { decodeCheckClient, decodeHeartbeat } from '../protocol/remoting/heartbeat-codec.ts';
import type { Decoded } from '../protocol/remoting/lenient-json.ts';
import { type Decoder, type DecoderTable, textSamples } from './decoders.ts';

const WORDS = [
  ...[
    '"topic"',
    '"groupName":',
    '"subString":"*"',
    'null',
    '-1',
    '1e999',
    '{}',
    '[]',
    '{{',
    '"$ref"',
  ],
  ...['CONSUME_PASSIVELY', 'BROADCASTING', '9007199254740993', '[[[[[[', '"__proto__"', '\\u0000'],
];

/** As the Java client writes it. */
export const JAVA_HEARTBEAT =
  '{"clientID":"10.0.0.9@4711#123","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"g","messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[97,98],"expressionType":"TAG","subString":"a||b","subVersion":1700000000000,"tagsSet":["a","b"],"topic":"T1"},{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1700000000001,"tagsSet":[],"topic":"%RETRY%g"}],"unitMode":false}],"heartbeatFingerprint":0,"producerDataSet":[{"groupName":"CLIENT_INNER_PRODUCER"}],"withoutSub":false}';
/** As ali-ons writes it. */
export const ALI_HEARTBEAT =
  '{"clientID":"10.0.0.9@4711","consumerDataSet":[{"groupName":"g","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","subscriptionDataSet":[{"topic":"T1","subString":"*","classFilterMode":false,"tagsSet":[],"codeSet":[],"subVersion":1700000000000}],"unitMode":false}],"producerDataSet":[]}';
export const LOCK_BATCH =
  '{"clientId":"cid","consumerGroup":"g","mqSet":[{"brokerName":"broker-a","queueId":0,"topic":"T1"},{"topic":"T1","queueId":"3"}],"onlyThisBroker":false}';
export const CHECK_CLIENT =
  '{"clientId":"c","group":"g","namespace":"","subscriptionData":{"expressionType":"SQL92","subString":"a > 1","subVersion":1,"topic":"T1"}}';

function body(
  samples: readonly string[],
  decode: (bytes: Uint8Array) => Decoded<unknown>,
): Decoder {
  return {
    samples: textSamples(...samples),
    decode: (bytes): SluiceError | undefined => {
      const result = decode(bytes);
      return 'refusal' in result ? result.refusal : undefined;
    },
    words: WORDS,
  };
}

/** Bodies of requests. */
export const GROUP_DECODERS: DecoderTable = {
  'HEART_BEAT body': body([JAVA_HEARTBEAT, ALI_HEARTBEAT], decodeHeartbeat),
  'SubscriptionGroupConfig body': body(
    ['{"groupName":"g","consumeEnable":true,"retryMaxTimes":16}'],
    decodeGroupConfig,
  ),
  'LOCK_BATCH_MQ body': body([LOCK_BATCH], decodeLockBatch),
  'CHECK_CLIENT_CONFIG body': body([CHECK_CLIENT], decodeCheckClient),
};
