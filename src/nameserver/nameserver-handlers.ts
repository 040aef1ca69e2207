/**
 * One function per request that a NameServer answers, and the table of them. Codes and remarks are RocketMQ's where it has
 * them. Synchronous; what is wrong with a request is thrown as INVALID_ARGUMENT and answered as SYSTEM_ERROR with its text.
 *
 * @source docs/PROTOCOL.md, section 7; RocketMQ DefaultRequestProcessor, ClientRequestProcessor
 */
import { KV_VALUE_LENGTH_MAX, REGISTERED_NAME_MAX } from '../base/limits.ts';
import { CommandFieldReader } from '../protocol/remoting/field-reader.ts';
import { REQUEST_CODES, requestNameOf } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import {
  encodeBrokerMemberGroup,
  encodeClusterInfo,
  encodeTopicRoute,
} from '../protocol/remoting/route-codec.ts';
import {
  decodeProperties,
  encodeKvTable,
  encodeProperties,
  encodeTopicList,
  type TopicList,
} from '../protocol/remoting/simple-bodies-codec.ts';
import {
  heartbeat,
  queryDataVersion,
  registerBroker,
  registerTopic,
  unregisterBroker,
} from './broker-handlers.ts';
import { brokerDataOf } from './broker-table.ts';
import { ORDER_TOPIC_NAMESPACE } from './kv-config.ts';
import type { NameServerAnswer, NameServerCore, NameServerRequest } from './nameserver-core.ts';
import { updateSwitches } from './nameserver-settings.ts';
import {
  allTopics,
  clusterInfoOf,
  FLAG_UNIT,
  FLAG_UNIT_SUB,
  routeOf,
  systemTopics,
  topicsByFlag,
  topicsOfCluster,
} from './route-queries.ts';

type Answer = (core: NameServerCore, request: NameServerRequest) => NameServerAnswer;

/** Whoever asks and changes nothing needs no credential. */
export type Handler = { readonly answer: Answer; readonly isGuarded: boolean };

/** Clients from 4.9.4 on read strict JSON. @source RocketMQ ClientRequestProcessor.getRouteInfoByTopic */
const VERSION_OF_STRICT_ROUTES = 401;
const ZONE_NAME_FIELD = '__ZONE_NAME';
const ZONE_MODE_FIELD = '__ZONE_MODE';

const DONE: NameServerAnswer = {};

function fieldsOf({ command }: NameServerRequest): CommandFieldReader {
  return new CommandFieldReader(command.fields, requestNameOf(command.code));
}

function nameIn(request: NameServerRequest, field: string): string {
  return fieldsOf(request).text(field, REGISTERED_NAME_MAX);
}

function notFound(remark: string): NameServerAnswer {
  return { code: RESPONSE_CODES.QUERY_NOT_FOUND, remark };
}

function putKvConfig(core: NameServerCore, request: NameServerRequest): NameServerAnswer {
  const fields = fieldsOf(request);
  const namespace = fields.optionalText('namespace', REGISTERED_NAME_MAX);
  const key = fields.optionalText('key', REGISTERED_NAME_MAX);
  if (namespace === undefined || key === undefined)
    return { code: RESPONSE_CODES.SYSTEM_ERROR, remark: 'namespace or key is null' };
  const value = fields.optionalText('value', KV_VALUE_LENGTH_MAX) ?? '';
  if (core.kv.put(namespace, key, value)) return DONE;
  return { code: RESPONSE_CODES.SYSTEM_ERROR, remark: 'the KV configuration is full' };
}

function getKvConfig(core: NameServerCore, request: NameServerRequest): NameServerAnswer {
  const [namespace, key] = [nameIn(request, 'namespace'), nameIn(request, 'key')];
  const value = core.kv.get(namespace, key);
  if (value !== undefined) return { fields: new Map([['value', value]]) };
  return notFound(`No config item, Namespace: ${namespace} Key: ${key}`);
}

function deleteKvConfig(core: NameServerCore, request: NameServerRequest): NameServerAnswer {
  core.kv.delete(nameIn(request, 'namespace'), nameIn(request, 'key'));
  return DONE;
}

function listKvConfig(core: NameServerCore, request: NameServerRequest): NameServerAnswer {
  const namespace = nameIn(request, 'namespace');
  const table = core.kv.list(namespace);
  if (table !== undefined) return { body: encodeKvTable(table) };
  return notFound(`No config item, Namespace: ${namespace}`);
}

function getRoute(core: NameServerCore, request: NameServerRequest): NameServerAnswer {
  const fields = fieldsOf(request);
  const topic = fields.text('topic', REGISTERED_NAME_MAX);
  core.counters.routes += 1;
  if (core.isStarting())
    return { code: RESPONSE_CODES.SYSTEM_ERROR, remark: 'name server not ready' };
  const { switches } = core.options;
  const isByZone = fields.optionalBoolean(ZONE_MODE_FIELD) === true;
  const route = routeOf(core.routes, topic, {
    supportActingMaster: switches.supportActingMaster,
    zoneName: isByZone
      ? fields.optionalText(ZONE_NAME_FIELD, REGISTERED_NAME_MAX) || undefined
      : undefined,
    orderTopicConf: switches.orderMessageEnable
      ? core.kv.get(ORDER_TOPIC_NAMESPACE, topic)
      : undefined,
  });
  if (route === undefined) {
    core.counters.routesNotFound += 1;
    return {
      code: RESPONSE_CODES.TOPIC_NOT_EXIST,
      remark: `No topic route info in name server for the topic: ${topic}`,
    };
  }
  const isStrict =
    request.command.version >= VERSION_OF_STRICT_ROUTES ||
    fields.optionalBoolean('acceptStandardJsonOnly') === true;
  return { body: encodeTopicRoute(route, isStrict ? 'strict' : 'fastjson') };
}

function getClusterInfo(core: NameServerCore): NameServerAnswer {
  return { body: encodeClusterInfo(clusterInfoOf(core.routes), 'strict') };
}

function wipeWritePerm(core: NameServerCore, request: NameServerRequest): NameServerAnswer {
  const count = core.routes.wipeWritePerm(nameIn(request, 'brokerName'));
  return { fields: new Map([['wipeTopicCount', String(count)]]) };
}

function addWritePerm(core: NameServerCore, request: NameServerRequest): NameServerAnswer {
  const count = core.routes.addWritePerm(nameIn(request, 'brokerName'));
  return { fields: new Map([['addTopicCount', String(count)]]) };
}

function deleteTopic(core: NameServerCore, request: NameServerRequest): NameServerAnswer {
  const clusterName = fieldsOf(request).optionalText('clusterName', REGISTERED_NAME_MAX);
  core.routes.deleteTopic(nameIn(request, 'topic'), clusterName || undefined);
  return DONE;
}

function getAllTopics(core: NameServerCore): NameServerAnswer {
  if (!core.options.switches.enableAllTopicList)
    return { code: RESPONSE_CODES.SYSTEM_ERROR, remark: 'disable' };
  return { body: encodeTopicList(allTopics(core.routes)) };
}

/** The lists that one switch of RocketMQ 5 turns off together. */
function topicList(list: (core: NameServerCore, request: NameServerRequest) => TopicList): Answer {
  return (core, request) =>
    core.options.switches.enableTopicList
      ? { body: encodeTopicList(list(core, request)) }
      : { code: RESPONSE_CODES.SYSTEM_ERROR, remark: 'disable' };
}

function updateConfig(core: NameServerCore, { command }: NameServerRequest): NameServerAnswer {
  const given = decodeProperties(command.body);
  if (given === undefined)
    return { code: RESPONSE_CODES.SYSTEM_ERROR, remark: 'string2Properties error: too many keys' };
  const update = updateSwitches(core.options.switches, given);
  if (update.outcome !== 'changed') {
    const code =
      update.outcome === 'fixed' ? RESPONSE_CODES.NO_PERMISSION : RESPONSE_CODES.SYSTEM_ERROR;
    return { code, remark: update.reason };
  }
  core.options.log.info('settings-changed', { names: update.names.join(',') });
  return DONE;
}

function getConfig(core: NameServerCore): NameServerAnswer {
  const { shownSettings, switches } = core.options;
  const switchTexts = Object.entries(switches).map(
    ([name, value]) => [name, String(value)] as const,
  );
  const all = [...shownSettings, ...switchTexts].sort(([a], [b]) => (a < b ? -1 : 1));
  return { body: encodeProperties(new Map(all)) };
}

function getMemberGroup(core: NameServerCore, request: NameServerRequest): NameServerAnswer {
  const clusterName = nameIn(request, 'clusterName');
  const brokerName = nameIn(request, 'brokerName');
  const group = core.routes.brokers.group(brokerName);
  const broker =
    group === undefined || group.clusterName !== clusterName
      ? {
          cluster: clusterName,
          brokerName,
          brokerAddrs: new Map<number, string>(),
          enableActingMaster: false,
          zoneName: undefined,
        }
      : brokerDataOf(group);
  const epoch = core.routes.fence.highest(brokerName);
  return {
    fields: new Map([['epoch', String(epoch)]]),
    body: encodeBrokerMemberGroup(broker, 'strict'),
  };
}

const open = (answer: Answer): Handler => ({ answer, isGuarded: false });
const guarded = (answer: Answer): Handler => ({ answer, isGuarded: true });

/** Request code → handler; a code without one is answered with REQUEST_CODE_NOT_SUPPORTED. */
export const HANDLERS: ReadonlyMap<number, Handler> = new Map([
  [REQUEST_CODES.PUT_KV_CONFIG, guarded(putKvConfig)],
  [REQUEST_CODES.GET_KV_CONFIG, open(getKvConfig)],
  [REQUEST_CODES.DELETE_KV_CONFIG, guarded(deleteKvConfig)],
  [REQUEST_CODES.GET_KVLIST_BY_NAMESPACE, open(listKvConfig)],
  [REQUEST_CODES.REGISTER_BROKER, guarded(registerBroker)],
  [REQUEST_CODES.UNREGISTER_BROKER, guarded(unregisterBroker)],
  [REQUEST_CODES.BROKER_HEARTBEAT, guarded(heartbeat)],
  [REQUEST_CODES.QUERY_DATA_VERSION, guarded(queryDataVersion)],
  [REQUEST_CODES.GET_BROKER_MEMBER_GROUP, open(getMemberGroup)],
  [REQUEST_CODES.REGISTER_TOPIC_IN_NAMESRV, guarded(registerTopic)],
  [REQUEST_CODES.GET_ROUTEINFO_BY_TOPIC, open(getRoute)],
  [REQUEST_CODES.GET_BROKER_CLUSTER_INFO, open(getClusterInfo)],
  [REQUEST_CODES.WIPE_WRITE_PERM_OF_BROKER, guarded(wipeWritePerm)],
  [REQUEST_CODES.ADD_WRITE_PERM_OF_BROKER, guarded(addWritePerm)],
  [REQUEST_CODES.DELETE_TOPIC_IN_NAMESRV, guarded(deleteTopic)],
  [REQUEST_CODES.GET_ALL_TOPIC_LIST_FROM_NAMESERVER, open(getAllTopics)],
  [
    REQUEST_CODES.GET_TOPICS_BY_CLUSTER,
    open(topicList((core, request) => topicsOfCluster(core.routes, nameIn(request, 'cluster')))),
  ],
  [
    REQUEST_CODES.GET_SYSTEM_TOPIC_LIST_FROM_NS,
    open(topicList((core) => systemTopics(core.routes))),
  ],
  [
    REQUEST_CODES.GET_UNIT_TOPIC_LIST,
    open(topicList((core) => topicsByFlag(core.routes, FLAG_UNIT))),
  ],
  [
    REQUEST_CODES.GET_HAS_UNIT_SUB_TOPIC_LIST,
    open(topicList((core) => topicsByFlag(core.routes, FLAG_UNIT_SUB))),
  ],
  [
    REQUEST_CODES.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST,
    open(topicList((core) => topicsByFlag(core.routes, FLAG_UNIT_SUB, FLAG_UNIT))),
  ],
  [REQUEST_CODES.UPDATE_NAMESRV_CONFIG, guarded(updateConfig)],
  [REQUEST_CODES.GET_NAMESRV_CONFIG, open(getConfig)],
]);
