/**
 * GET_CONSUMER_LIST_BY_GROUP, GET_CONSUMER_CONNECTION_LIST, GET_PRODUCER_CONNECTION_LIST, GET_ALL_PRODUCER_INFO: who is in a group,
 * and in which.
 *
 * @source RocketMQ ConsumerManageProcessor, AdminBrokerProcessor
 */
import { REGISTERED_NAME_MAX } from '../base/limits.ts';
import type { Client } from '../membership/consumer-group.ts';
import { languageName } from '../protocol/remoting/command.ts';
import {
  type ConnectionFacts,
  encodeConsumerConnection,
  encodeConsumerList,
  encodeProducerConnection,
  encodeProducerTable,
} from '../protocol/remoting/group-bodies-codec.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { RemotingConnection } from './remoting-connection.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import type { RemotingRequest } from './remoting-request.ts';

function factsOf(client: Client<RemotingConnection>): ConnectionFacts {
  const { clientId, connection, language, version } = client;
  return { clientId, clientAddr: connection.address, language: languageName(language), version };
}

/** Every member must see the same list, or queues are consumed twice or not at all. */
function consumerList({ clients }: RemotingContext, request: RemotingRequest): void {
  const group = request.checkedFields().text('consumerGroup', REGISTERED_NAME_MAX);
  const members = clients.consumerGroup(group)?.members() ?? [];
  if (members.length > 0)
    request.answer({ body: encodeConsumerList(members.map(({ clientId }) => clientId)) });
  else
    request.answer({
      code: RESPONSE_CODES.SYSTEM_ERROR,
      remark: `no consumer for this group, ${group}`,
    });
}

function consumerConnections({ clients }: RemotingContext, request: RemotingRequest): void {
  const name = request.checkedFields().text('consumerGroup', REGISTERED_NAME_MAX);
  const group = clients.consumerGroup(name);
  const terms = group?.terms;
  if (group === undefined || terms === undefined) {
    const remark = `the consumer group[${name}] not online`;
    request.answer({ code: RESPONSE_CODES.CONSUMER_NOT_ONLINE, remark });
    return;
  }
  const body = encodeConsumerConnection({
    connections: group.members().map(factsOf),
    consumeType: terms.consumeType,
    messageModel: terms.messageModel,
    fromWhere: terms.fromWhere,
    subscriptions: [...terms.subscriptions.values()],
  });
  request.answer({ body });
}

function producerConnections({ clients }: RemotingContext, request: RemotingRequest): void {
  const group = request.checkedFields().text('producerGroup', REGISTERED_NAME_MAX);
  const producers = clients.producersOf(group);
  if (producers.length > 0)
    request.answer({ body: encodeProducerConnection(producers.map(factsOf)) });
  else
    request.answer({
      code: RESPONSE_CODES.SYSTEM_ERROR,
      remark: `the producer group[${group}] not exist`,
    });
}

function allProducers({ clients, core }: RemotingContext, request: RemotingRequest): void {
  // Heartbeats are timed by the clock that nobody sets.
  const offsetMs = core.clock.epochMs() - core.clock.monotonicMs();
  const groups = [...clients.producerGroups()].sort().map((group) => {
    const producers = clients.producersOf(group).map((client) => ({
      ...factsOf(client),
      heardAtMs: Math.round(client.heardAtMs + offsetMs),
    }));
    return [group, producers] as const;
  });
  request.answer({ body: encodeProducerTable(groups) });
}

/** Lists of members. */
export function listHandlers(context: RemotingContext): HandlerTable {
  return [
    [REQUEST_CODES.GET_CONSUMER_LIST_BY_GROUP, (request) => consumerList(context, request)],
    [
      REQUEST_CODES.GET_CONSUMER_CONNECTION_LIST,
      (request) => consumerConnections(context, request),
    ],
    [
      REQUEST_CODES.GET_PRODUCER_CONNECTION_LIST,
      (request) => producerConnections(context, request),
    ],
    [REQUEST_CODES.GET_ALL_PRODUCER_INFO, (request) => allProducers(context, request)],
  ];
}
