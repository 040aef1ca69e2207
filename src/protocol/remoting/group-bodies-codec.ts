/**
 * Bodies about the members of groups and what they hold: queue locks, lists of members, connections, offsets. Queues as keys
 * are written as fastjson writes them, because RocketMQ's Go client cuts that form apart by hand. Browser-safe.
 *
 * @source RocketMQ LockBatchRequestBody, LockBatchResponseBody, GetConsumerListByGroupResponseBody, ConsumerConnection,
 * ProducerConnection, ProducerTableInfo, ResetOffsetBody
 */
import {
  CLIENT_ID_MAX,
  LOCK_QUEUES_MAX,
  REGISTERED_NAME_MAX,
  REGISTERED_QUEUES_MAX,
} from '../../base/limits.ts';
import { BodyReader } from './body-reader.ts';
import { type SubscriptionData, subscriptionText } from './heartbeat-codec.ts';
import { type Decoded, decoded, type LenientValue, parseLenientJson } from './lenient-json.ts';

/** A queue as RocketMQ names it. */
export type MessageQueueName = {
  readonly brokerName: string;
  readonly topic: string;
  readonly queueId: number;
};

export type LockBatch = {
  readonly group: string;
  readonly clientId: string;
  readonly queues: readonly MessageQueueName[];
};

/** One client as tools see it. */
export type ConnectionFacts = {
  readonly clientId: string;
  readonly clientAddr: string;
  /** Name of its language. */
  readonly language: string;
  readonly version: number;
};

/** A producer, and when its last heartbeat came: milliseconds since 1970. */
export type ProducerFacts = ConnectionFacts & { readonly heardAtMs: number };

export type ConsumerConnectionFacts = {
  readonly connections: readonly ConnectionFacts[];
  readonly consumeType: string;
  readonly messageModel: string;
  readonly fromWhere: string;
  readonly subscriptions: readonly SubscriptionData[];
};

const encoder = new TextEncoder();

/** Of a request to lock or unlock. */
export function decodeLockBatch(body: Uint8Array): Decoded<LockBatch> {
  return decoded(() => {
    const reader = new BodyReader(parseLenientJson(body), 'LockBatchRequestBody');
    return {
      group: reader.text('consumerGroup', REGISTERED_NAME_MAX),
      clientId: reader.text('clientId', CLIENT_ID_MAX),
      queues: reader
        .items('mqSet', LOCK_QUEUES_MAX)
        .map((item, index) => readQueue(item, `mqSet[${index}]`)),
    };
  });
}

function readQueue(item: LenientValue, what: string): MessageQueueName {
  const reader = new BodyReader(item, what);
  return {
    brokerName: reader.text('brokerName', REGISTERED_NAME_MAX, ''),
    topic: reader.text('topic', REGISTERED_NAME_MAX),
    queueId: reader.integer('queueId', 0, REGISTERED_QUEUES_MAX),
  };
}

/** The queues that a client holds now. */
export function encodeLocked(queues: readonly MessageQueueName[]): Uint8Array {
  return encoder.encode(`{"lockOKMQSet":[${queues.map(queueText).join(',')}]}`);
}

export function encodeConsumerList(clientIds: readonly string[]): Uint8Array {
  return encoder.encode(JSON.stringify({ consumerIdList: clientIds }));
}

export function encodeConsumerConnection(facts: ConsumerConnectionFacts): Uint8Array {
  const table = facts.subscriptions.map(
    (subscription) => `${JSON.stringify(subscription.topic)}:${subscriptionText(subscription)}`,
  );
  const fields = [
    `"connectionSet":${connectionsText(facts.connections)}`,
    `"consumeFromWhere":${JSON.stringify(facts.fromWhere)}`,
    `"consumeType":${JSON.stringify(facts.consumeType)}`,
    `"messageModel":${JSON.stringify(facts.messageModel)}`,
    `"subscriptionTable":{${table.join(',')}}`,
  ];
  return encoder.encode(`{${fields.join(',')}}`);
}

export function encodeProducerConnection(connections: readonly ConnectionFacts[]): Uint8Array {
  return encoder.encode(`{"connectionSet":${connectionsText(connections)}}`);
}

/** Every producer group that is there, for tools. */
export function encodeProducerTable(
  groups: readonly (readonly [group: string, producers: readonly ProducerFacts[]])[],
): Uint8Array {
  const entries = groups.map(([group, producers]) => {
    const list = producers.map(({ clientId, clientAddr, language, version, heardAtMs }) => {
      return { clientId, language, lastUpdateTimestamp: heardAtMs, remoteIP: clientAddr, version };
    });
    return `${JSON.stringify(group)}:${JSON.stringify(list)}`;
  });
  return encoder.encode(`{"data":{${entries.join(',')}}}`);
}

/** Offsets by queue, for a client that is to go there and for the tool that asked for it. */
export function encodeOffsetTable(
  offsets: readonly (readonly [queue: MessageQueueName, offset: number])[],
): Uint8Array {
  const entries = offsets.map(([queue, offset]) => `${queueText(queue)}:${offset}`);
  return encoder.encode(`{"offsetTable":{${entries.join(',')}}}`);
}

/** The same for clients in C++. */
export function encodeOffsetList(
  offsets: readonly (readonly [queue: MessageQueueName, offset: number])[],
): Uint8Array {
  const entries = offsets.map(([queue, offset]) =>
    JSON.stringify({ ...queueFields(queue), offset }),
  );
  return encoder.encode(`{"offsetTable":[${entries.join(',')}]}`);
}

/** In the order of the names, without blanks. */
function queueFields({ brokerName, queueId, topic }: MessageQueueName): MessageQueueName {
  return { brokerName, queueId, topic };
}

/** A queue as a key of a table. */
export function queueText(queue: MessageQueueName): string {
  return JSON.stringify(queueFields(queue));
}

function connectionsText(connections: readonly ConnectionFacts[]): string {
  return JSON.stringify(
    connections.map(({ clientAddr, clientId, language, version }) => {
      return { clientAddr, clientId, language, version };
    }),
  );
}
