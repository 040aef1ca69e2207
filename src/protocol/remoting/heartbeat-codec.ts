/**
 * The bodies by which clients say who they are and what they read: HEART_BEAT and CHECK_CLIENT_CONFIG. Browser-safe.
 *
 * @source RocketMQ HeartbeatData, ConsumerData, SubscriptionData, CheckClientRequestBody
 */
import {
  CLIENT_ID_MAX,
  EXPRESSION_MAX,
  HEARTBEAT_GROUPS_MAX,
  HEARTBEAT_TOPICS_MAX,
  REGISTERED_NAME_MAX,
} from '../../base/limits.ts';
import { BodyReader } from './body-reader.ts';
import { type Decoded, decoded, type LenientValue, parseLenientJson } from './lenient-json.ts';

export type SubscriptionData = {
  readonly topic: string;
  /** `TAG` or `SQL92`. */
  readonly expressionType: string;
  readonly expression: string;
  /** Grows with each change that the client makes; milliseconds by its clock. */
  readonly version: number;
};

export type ConsumerData = {
  readonly group: string;
  readonly consumeType: string;
  readonly messageModel: 'CLUSTERING' | 'BROADCASTING';
  readonly fromWhere: string;
  readonly subscriptions: readonly SubscriptionData[];
};

export type HeartbeatData = {
  readonly clientId: string;
  readonly producerGroups: readonly string[];
  readonly consumers: readonly ConsumerData[];
};

export type CheckClientData = {
  readonly clientId: string;
  readonly group: string;
  readonly subscription: SubscriptionData;
};

/** Go's clients count in nanoseconds: beyond what a number holds exactly, and only compared. */
const VERSION_MAX: number = 2 ** 63;
const WORD_MAX = 64;

export function decodeHeartbeat(body: Uint8Array): Decoded<HeartbeatData> {
  return decoded(() => {
    const reader = new BodyReader(parseLenientJson(body), 'HeartbeatData');
    return {
      clientId: reader.text('clientID', CLIENT_ID_MAX),
      producerGroups: reader
        .items('producerDataSet', HEARTBEAT_GROUPS_MAX)
        .map((item, index) =>
          new BodyReader(item, `producerDataSet[${index}]`).text('groupName', REGISTERED_NAME_MAX),
        ),
      consumers: reader
        .items('consumerDataSet', HEARTBEAT_GROUPS_MAX)
        .map((item, index) => readConsumer(item, `consumerDataSet[${index}]`)),
    };
  });
}

export function decodeCheckClient(body: Uint8Array): Decoded<CheckClientData> {
  return decoded(() => {
    const reader = new BodyReader(parseLenientJson(body), 'CheckClientRequestBody');
    return {
      clientId: reader.text('clientId', CLIENT_ID_MAX),
      group: reader.text('group', REGISTERED_NAME_MAX),
      subscription: readSubscription(reader.value('subscriptionData'), 'subscriptionData'),
    };
  });
}

function readConsumer(item: LenientValue, what: string): ConsumerData {
  const reader = new BodyReader(item, what);
  const model = reader.text('messageModel', WORD_MAX, 'CLUSTERING');
  if (model !== 'CLUSTERING' && model !== 'BROADCASTING')
    throw reader.wrong('messageModel', model, 'CLUSTERING or BROADCASTING');
  return {
    group: reader.text('groupName', REGISTERED_NAME_MAX),
    consumeType: reader.text('consumeType', WORD_MAX, 'CONSUME_PASSIVELY'),
    messageModel: model,
    fromWhere: reader.text('consumeFromWhere', WORD_MAX, 'CONSUME_FROM_LAST_OFFSET'),
    subscriptions: reader
      .items('subscriptionDataSet', HEARTBEAT_TOPICS_MAX)
      .map((one, index) => readSubscription(one, `${what}.subscriptionDataSet[${index}]`)),
  };
}

function readSubscription(item: LenientValue | undefined, what: string): SubscriptionData {
  const reader = new BodyReader(item, what);
  return {
    topic: reader.text('topic', REGISTERED_NAME_MAX),
    expressionType: reader.text('expressionType', WORD_MAX, 'TAG'),
    expression: reader.text('subString', EXPRESSION_MAX, '*'),
    version: reader.wideInteger('subVersion', VERSION_MAX),
  };
}

/** As tools print it. */
export function subscriptionText(subscription: SubscriptionData): string {
  const { topic, expressionType, expression, version } = subscription;
  const isTag = expressionType === 'TAG' || expressionType === '';
  const tags = isTag
    ? expression
        .split('||')
        .map((tag) => tag.trim())
        .filter((tag) => tag !== '' && tag !== '*')
    : [];
  return JSON.stringify({
    classFilterMode: false,
    codeSet: tags.map(javaHash),
    expressionType: isTag ? 'TAG' : expressionType,
    subString: expression,
    subVersion: version,
    tagsSet: tags,
    topic,
  });
}

/** @source java.lang.String.hashCode */
function javaHash(text: string): number {
  let hash = 0;
  for (let at = 0; at < text.length; at += 1)
    hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
  return hash;
}
