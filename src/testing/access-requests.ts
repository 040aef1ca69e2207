/**
 * Every kind of request at the port of RocketMQ's clients, and the rights that it must ask for: written down request by request
 * and taken from nothing that decides. `own` and `team` are what the accounts of a test may touch; `secret` and `rivals` are what
 * they may not.
 */
import { propertyText } from '../protocol/remoting/property-text.ts';
import { REQUEST_CODES as REQUESTS } from '../protocol/remoting/request-codes.ts';
import { type AccessRig, bytesOf, halfFields, sendFields } from './access-rig.ts';
import type { Asked } from './remoting-client.ts';

/** One kind of request. `needs`: all of these rights; `admin`: only who may do everything. */
export type AccessRequest = {
  readonly code: number;
  readonly needs: readonly string[] | 'admin';
  /** Any one of these as well. */
  readonly oneOf?: readonly string[];
  readonly make: (rig: AccessRig) => Asked | Promise<Asked>;
};

const body = bytesOf('body');
const json = (value: unknown): Uint8Array => bytesOf(JSON.stringify(value));
const longFields = (topic: string, more: Record<string, string> = {}): Record<string, string> => ({
  ...{ producerGroup: 'producers', topic, defaultTopic: 'TBW102', defaultTopicQueueNums: '4' },
  ...{ queueId: '0', sysFlag: '0', bornTimestamp: '1700000000000', flag: '0', properties: '' },
  ...{ reconsumeTimes: '0', unitMode: 'false', ...more },
});
/** A pull of one message that does not wait. */
export const pullFields = (group: string, topic: string): Record<string, string> => ({
  ...{ consumerGroup: group, topic, queueId: '0', queueOffset: '0', maxMsgNums: '1' },
  ...{ sysFlag: '4', commitOffset: '0', suspendTimeoutMillis: '0', subscription: '*' },
  ...{ subVersion: '0', expressionType: 'TAG' },
});
const delayed = (topic: string): Record<string, string> =>
  sendFields(topic, { i: propertyText([['DELAY', '18']]) });
const replied = propertyText([['REPLY_TO_CLIENT', 'nobody']]);
const heartbeat = (group: string, ...topics: readonly string[]): Asked => ({
  body: json({
    ...{ clientID: 'c1', producerDataSet: [{ groupName: 'producers' }] },
    consumerDataSet: [
      {
        ...{ groupName: group, messageModel: 'CLUSTERING' },
        subscriptionDataSet: topics.map((topic) => ({ topic, subString: '*', subVersion: 7 })),
      },
    ],
  }),
});
/** One message in the body of a batch. */
const batch = ((): Uint8Array => {
  const bytes = new Uint8Array(22 + body.length);
  new DataView(bytes.buffer).setInt32(0, bytes.length);
  new DataView(bytes.buffer).setInt32(16, body.length);
  bytes.set(body, 20);
  return bytes;
})();
const lockOf = (group: string, ...topics: readonly string[]): Asked => ({
  body: json({
    ...{ clientId: 'c1', consumerGroup: group },
    mqSet: topics.map((topic) => ({ brokerName: 'b', queueId: 0, topic })),
  }),
});
const fieldsOf = (fields: Record<string, string>) => (): Asked => ({ fields });
const sending = (fields: Record<string, string>) => (): Asked => ({ fields, body });

/** Every kind, by what it does. */
export const ACCESS_REQUESTS: Readonly<Record<string, AccessRequest>> = {
  'sends, long names': {
    ...{ code: REQUESTS.SEND_MESSAGE, needs: ['PUB own'] },
    make: sending(longFields('own')),
  },
  'sends to another, long names': {
    ...{ code: REQUESTS.SEND_MESSAGE, needs: ['PUB secret'] },
    make: sending(longFields('secret', { b: 'own' })),
  },
  'sends, short names': {
    ...{ code: REQUESTS.SEND_MESSAGE_V2, needs: ['PUB own'] },
    make: sending(sendFields('own')),
  },
  'sends to another, and names its own in the long spelling': {
    ...{ code: REQUESTS.SEND_MESSAGE_V2, needs: ['PUB secret'] },
    make: sending(sendFields('secret', { topic: 'own' })),
  },
  'sends a batch': {
    ...{ code: REQUESTS.SEND_BATCH_MESSAGE, needs: ['PUB own'] },
    make: () => ({ fields: sendFields('own', { m: 'true' }), body: batch }),
  },
  'sends a batch to another': {
    ...{ code: REQUESTS.SEND_BATCH_MESSAGE, needs: ['PUB secret'] },
    make: () => ({ fields: sendFields('secret', { m: 'true' }), body: batch }),
  },
  'sends a delayed message to another': {
    ...{ code: REQUESTS.SEND_MESSAGE_V2, needs: ['PUB secret'] },
    make: sending(delayed('secret')),
  },
  'sends a half message': {
    ...{ code: REQUESTS.SEND_MESSAGE_V2, needs: ['PUB own'] },
    make: sending(halfFields('own')),
  },
  'sends a half message to another': {
    ...{ code: REQUESTS.SEND_MESSAGE_V2, needs: ['PUB secret'] },
    make: sending(halfFields('secret')),
  },
  'sends to its group again': {
    ...{ code: REQUESTS.SEND_MESSAGE_V2, needs: ['group team'] },
    make: sending(sendFields('%RETRY%team', { a: 'team' })),
  },
  'sends to another group, and names its own as the group': {
    ...{ code: REQUESTS.SEND_MESSAGE_V2, needs: ['group rivals'] },
    make: sending(sendFields('%RETRY%rivals', { a: 'team', group: 'team' })),
  },
  'sends to another group, long names, and names its own': {
    ...{ code: REQUESTS.SEND_MESSAGE, needs: ['group rivals'] },
    make: sending(longFields('%RETRY%rivals', { producerGroup: 'team', group: 'team' })),
  },
  'replies by the reply topic': {
    ...{ code: REQUESTS.SEND_REPLY_MESSAGE_V2, needs: ['PUB DefaultCluster_REPLY_TOPIC'] },
    make: sending(sendFields('DefaultCluster_REPLY_TOPIC', { i: replied })),
  },
  'replies under the name of its own topic': {
    ...{ code: REQUESTS.SEND_REPLY_MESSAGE, needs: ['PUB DefaultCluster_REPLY_TOPIC', 'PUB own'] },
    make: sending(longFields('own', { properties: replied })),
  },
  'replies under the name of another topic': {
    code: REQUESTS.SEND_REPLY_MESSAGE_V2,
    needs: ['PUB DefaultCluster_REPLY_TOPIC', 'PUB secret'],
    make: sending(sendFields('secret', { i: replied })),
  },
  pulls: {
    ...{ code: REQUESTS.PULL_MESSAGE, needs: ['SUB own', 'group team'] },
    make: fieldsOf(pullFields('team', 'own')),
  },
  'pulls another topic': {
    ...{ code: REQUESTS.PULL_MESSAGE, needs: ['SUB secret', 'group team'] },
    make: fieldsOf(pullFields('team', 'secret')),
  },
  'pulls for another group': {
    ...{ code: REQUESTS.LITE_PULL_MESSAGE, needs: ['SUB own', 'group rivals'] },
    make: fieldsOf(pullFields('rivals', 'own')),
  },
  'pulls what comes again': {
    ...{ code: REQUESTS.PULL_MESSAGE, needs: ['group team'] },
    make: fieldsOf(pullFields('team', '%RETRY%team')),
  },
  'pulls what comes again for another group': {
    ...{ code: REQUESTS.PULL_MESSAGE, needs: ['group team', 'group rivals'] },
    make: fieldsOf(pullFields('team', '%RETRY%rivals')),
  },
  'pulls dead letters': {
    ...{ code: REQUESTS.PULL_MESSAGE, needs: ['group team'] },
    make: fieldsOf(pullFields('team', '%DLQ%team')),
  },
  'pulls dead letters of another group': {
    ...{ code: REQUESTS.LITE_PULL_MESSAGE, needs: ['group team'] },
    oneOf: ['group rivals', 'SUB %DLQ%rivals'],
    make: fieldsOf(pullFields('team', '%DLQ%rivals')),
  },
  ...Object.fromEntries(
    (['GET_MAX_OFFSET', 'GET_MIN_OFFSET', 'GET_EARLIEST_MSG_STORETIME'] as const).flatMap((name) =>
      ['own', 'secret'].map((topic) => [
        `${name} of ${topic}`,
        {
          ...{ code: REQUESTS[name], needs: [], oneOf: [`PUB ${topic}`, `SUB ${topic}`] },
          make: fieldsOf({ topic, queueId: '0' }),
        },
      ]),
    ),
  ),
  'asks for an offset by time of another topic': {
    ...{ code: REQUESTS.SEARCH_OFFSET_BY_TIMESTAMP, needs: [] },
    oneOf: ['PUB secret', 'SUB secret'],
    make: fieldsOf({ topic: 'secret', queueId: '0', timestamp: '0' }),
  },
  'looks a message up': {
    ...{ code: REQUESTS.VIEW_MESSAGE_BY_ID, needs: ['SUB own'] },
    make: async (rig) => ({ fields: { offset: await rig.stored(sendFields('own')) } }),
  },
  'looks a message of another topic up under the name of its own': {
    ...{ code: REQUESTS.VIEW_MESSAGE_BY_ID, needs: ['SUB secret'] },
    make: async (rig) => ({
      fields: { offset: await rig.stored(sendFields('secret')), topic: 'own' },
    }),
  },
  'looks up what comes again to another group': {
    ...{ code: REQUESTS.VIEW_MESSAGE_BY_ID, needs: ['group rivals'] },
    make: async (rig) => ({ fields: { offset: await rig.stored(sendFields('%RETRY%rivals')) } }),
  },
  'looks a delayed message of another topic up': {
    ...{ code: REQUESTS.VIEW_MESSAGE_BY_ID, needs: ['SUB secret'] },
    make: async (rig) => ({ fields: { offset: await rig.stored(delayed('secret')) } }),
  },
  'looks a half message of another topic up': {
    ...{ code: REQUESTS.VIEW_MESSAGE_BY_ID, needs: ['SUB secret'] },
    make: async (rig) => ({ fields: { offset: await rig.stored(halfFields('secret')) } }),
  },
  'looks for a key': {
    ...{ code: REQUESTS.QUERY_MESSAGE, needs: ['SUB own'] },
    make: fieldsOf({ topic: 'own', key: 'k' }),
  },
  'looks for a key in another topic': {
    ...{ code: REQUESTS.QUERY_MESSAGE, needs: ['SUB secret'] },
    make: fieldsOf({ topic: 'secret', key: 'k' }),
  },
  'says that it consumes': {
    ...{ code: REQUESTS.HEART_BEAT, needs: ['group team', 'SUB own'] },
    make: () => heartbeat('team', 'own', '%RETRY%team'),
  },
  'says that it consumes another topic': {
    ...{ code: REQUESTS.HEART_BEAT, needs: ['group team', 'SUB own', 'SUB secret'] },
    make: () => heartbeat('team', 'own', 'secret'),
  },
  'says that it consumes for another group': {
    ...{ code: REQUESTS.HEART_BEAT, needs: ['group rivals', 'SUB own'] },
    make: () => heartbeat('rivals', 'own'),
  },
  'says that it consumes what comes again to another group': {
    ...{ code: REQUESTS.HEART_BEAT, needs: ['group team', 'group rivals'] },
    make: () => heartbeat('team', '%RETRY%rivals'),
  },
  'says that it produces': {
    ...{ code: REQUESTS.HEART_BEAT, needs: [] },
    make: () => ({ body: json({ clientID: 'c1', producerDataSet: [{ groupName: 'producers' }] }) }),
  },
  leaves: {
    ...{ code: REQUESTS.UNREGISTER_CLIENT, needs: ['group team'] },
    make: fieldsOf({ clientID: 'c1', consumerGroup: 'team', producerGroup: 'producers' }),
  },
  'leaves another group': {
    ...{ code: REQUESTS.UNREGISTER_CLIENT, needs: ['group rivals'] },
    make: fieldsOf({ clientID: 'c1', consumerGroup: 'rivals' }),
  },
  'asks for its expression': {
    ...{ code: REQUESTS.CHECK_CLIENT_CONFIG, needs: ['group team', 'SUB secret'] },
    make: () => ({
      body: json({
        ...{ clientId: 'c1', group: 'team' },
        subscriptionData: { topic: 'secret', subString: 'a > 1', expressionType: 'SQL92' },
      }),
    }),
  },
  'lists members': {
    ...{ code: REQUESTS.GET_CONSUMER_LIST_BY_GROUP, needs: ['group team'] },
    make: fieldsOf({ consumerGroup: 'team' }),
  },
  'lists members of another group': {
    ...{ code: REQUESTS.GET_CONSUMER_LIST_BY_GROUP, needs: ['group rivals'] },
    make: fieldsOf({ consumerGroup: 'rivals' }),
  },
  'asks where its group is': {
    ...{ code: REQUESTS.QUERY_CONSUMER_OFFSET, needs: ['group team', 'SUB own'] },
    make: fieldsOf({ consumerGroup: 'team', topic: 'own', queueId: '0' }),
  },
  'moves its group': {
    ...{ code: REQUESTS.UPDATE_CONSUMER_OFFSET, needs: ['group team', 'SUB own'] },
    make: fieldsOf({ consumerGroup: 'team', topic: 'own', queueId: '0', commitOffset: '0' }),
  },
  'moves another group': {
    ...{ code: REQUESTS.UPDATE_CONSUMER_OFFSET, needs: ['group rivals', 'SUB own'] },
    make: fieldsOf({ consumerGroup: 'rivals', topic: 'own', queueId: '0', commitOffset: '0' }),
  },
  'moves its group on another topic': {
    ...{ code: REQUESTS.UPDATE_CONSUMER_OFFSET, needs: ['group team', 'SUB secret'] },
    make: fieldsOf({ consumerGroup: 'team', topic: 'secret', queueId: '0', commitOffset: '0' }),
  },
  'locks queues': {
    ...{ code: REQUESTS.LOCK_BATCH_MQ, needs: ['group team', 'SUB own'] },
    make: () => lockOf('team', 'own'),
  },
  'locks a queue of another topic among its own': {
    ...{ code: REQUESTS.LOCK_BATCH_MQ, needs: ['group team', 'SUB own', 'SUB secret'] },
    make: () => lockOf('team', 'own', 'secret'),
  },
  'unlocks queues of another group': {
    ...{ code: REQUESTS.UNLOCK_BATCH_MQ, needs: ['group rivals', 'SUB own'] },
    make: () => lockOf('rivals', 'own'),
  },
  'sends a message back': {
    ...{ code: REQUESTS.CONSUMER_SEND_MSG_BACK, needs: ['group team', 'SUB own'] },
    make: async (rig) => ({
      fields: { offset: await rig.stored(sendFields('own')), group: 'team', delayLevel: '0' },
    }),
  },
  'sends back what is another topic’s, and calls it its own': {
    ...{ code: REQUESTS.CONSUMER_SEND_MSG_BACK, needs: ['group team', 'SUB secret'] },
    make: async (rig) => ({
      fields: {
        ...{ offset: await rig.stored(sendFields('secret')), group: 'team', delayLevel: '0' },
        originTopic: 'own',
      },
    }),
  },
  'sends back to another group': {
    ...{ code: REQUESTS.CONSUMER_SEND_MSG_BACK, needs: ['group rivals', 'SUB own'] },
    make: async (rig) => ({
      fields: { offset: await rig.stored(sendFields('own')), group: 'rivals', delayLevel: '-1' },
    }),
  },
  ...Object.fromEntries(
    ['own', 'secret'].flatMap((topic) =>
      [8, 12].map((decision) => [
        `ends a transaction of ${topic} with ${decision}, and names its own`,
        {
          ...{ code: REQUESTS.END_TRANSACTION, needs: [`PUB ${topic}`] },
          make: async (rig: AccessRig) => ({
            fields: {
              ...{ commitLogOffset: await rig.stored(halfFields(topic)), topic: 'own' },
              ...{ commitOrRollback: String(decision), producerGroup: 'producers' },
            },
          }),
        },
      ]),
    ),
  ),
  ...Object.fromEntries(
    (
      [
        ...['UPDATE_AND_CREATE_TOPIC', 'DELETE_TOPIC_IN_BROKER', 'GET_ALL_TOPIC_CONFIG'],
        ...['GET_TOPIC_CONFIG', 'GET_TOPIC_STATS_INFO', 'GET_SYSTEM_TOPIC_LIST_FROM_BROKER'],
        ...['QUERY_TOPIC_CONSUME_BY_WHO', 'GET_BROKER_CONFIG', 'GET_BROKER_RUNTIME_INFO'],
        ...['VIEW_BROKER_STATS_DATA', 'GET_CONSUMER_CONNECTION_LIST', 'CLONE_GROUP_OFFSET'],
        ...['GET_PRODUCER_CONNECTION_LIST', 'GET_CONSUMER_RUNNING_INFO', 'GET_ALL_PRODUCER_INFO'],
        ...['UPDATE_BROKER_CONFIG', 'CLEAN_UNUSED_TOPIC', 'CLEAN_EXPIRED_CONSUMEQUEUE'],
        ...['CONSUME_MESSAGE_DIRECTLY', 'INVOKE_BROKER_TO_RESET_OFFSET'],
        ...['UPDATE_AND_CREATE_SUBSCRIPTIONGROUP', 'DELETE_SUBSCRIPTIONGROUP'],
        ...['GET_ALL_SUBSCRIPTIONGROUP_CONFIG', 'GET_SUBSCRIPTIONGROUP_CONFIG'],
        ...['GET_CONSUME_STATS', 'GET_BROKER_CONSUME_STATS', 'GET_ALL_CONSUMER_OFFSET'],
        ...['QUERY_TOPICS_BY_CONSUMER', 'UPDATE_BROKER_CONFIG', 'CLEAN_UNUSED_TOPIC'],
        ...['CLEAN_EXPIRED_CONSUMEQUEUE', 'GET_ALL_PRODUCER_INFO'],
      ] as (keyof typeof REQUESTS)[]
    ).map((name) => [
      `${name} of its own`,
      { code: REQUESTS[name], needs: 'admin', make: adminAsks },
    ]),
  ),
};

/** Names what the account may touch, and asks for nothing that changes anything. */
function adminAsks(): Asked {
  return { fields: { topic: 'own', group: 'team', consumerGroup: 'team', producerGroup: 'p' } };
}
