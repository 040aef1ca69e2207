/**
 * What brokers ask of a NameServer: register, unregister, say that they live. Synchronous; as nameserver-handlers.ts.
 *
 * @source docs/PROTOCOL.md, section 7; RocketMQ DefaultRequestProcessor
 */
import { SluiceError } from '../base/errors.ts';
import { NAMESRV_BROKERS_MAX, REGISTERED_NAME_MAX } from '../base/limits.ts';
import { BodyReader } from '../protocol/remoting/body-reader.ts';
import { CommandFieldReader } from '../protocol/remoting/field-reader.ts';
import { decoded, parseLenientJson } from '../protocol/remoting/lenient-json.ts';
import { bodyCrc32, decodeRegisterBrokerBody } from '../protocol/remoting/register-broker-codec.ts';
import { requestNameOf } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import { MASTER_ID, readQueueData } from '../protocol/remoting/route-codec.ts';
import { encodeKvTable } from '../protocol/remoting/simple-bodies-codec.ts';
import {
  decodeDataVersion,
  encodeDataVersion,
  readName,
  sameDataVersion,
} from '../protocol/remoting/topic-config-codec.ts';
import type { FurtherFacts, LiveBroker } from './broker-table.ts';
import { NO_EPOCH } from './epoch-fence.ts';
import { ORDER_TOPIC_NAMESPACE } from './kv-config.ts';
import type { NameServerAnswer, NameServerCore, NameServerRequest } from './nameserver-core.ts';
import type { RegisterOutcome, Registration } from './route-table.ts';

/** Field of a registration that carries the epoch of the master's reign; RocketMQ has it in its heartbeat. */
const EPOCH_FIELD = 'epoch';
const EPOCH_MAX = 0x7fff_ffff;
const WEB_SOCKET_ADDRS_MAX = 8;
const WEB_SOCKET_ADDRS_LENGTH_MAX: number = WEB_SOCKET_ADDRS_MAX * REGISTERED_NAME_MAX;
const ROLE_LENGTH_MAX = 32;
const TIMEOUT_MS_MIN = 1000;
const TIMEOUT_MS_MAX = 3_600_000;
/** No comma, quote or brace: the Go client takes a list of addresses apart by hand. */
const ADDRESS = /^[^\s,"'{}\\]+:\d{1,5}$/;

/** Which broker a request is about. */
type BrokerIdentity = Pick<Registration, 'clusterName' | 'brokerName' | 'brokerAddr' | 'brokerId'>;

function fieldsOf({ command }: NameServerRequest): CommandFieldReader {
  return new CommandFieldReader(command.fields, requestNameOf(command.code));
}

function identityIn(fields: CommandFieldReader): BrokerIdentity {
  return {
    clusterName: readName(fields.text('clusterName', REGISTERED_NAME_MAX), 'the cluster'),
    brokerName: readName(fields.text('brokerName', REGISTERED_NAME_MAX), 'the broker'),
    brokerAddr: addressIn(fields.text('brokerAddr', REGISTERED_NAME_MAX), 'brokerAddr'),
    brokerId: fields.integer('brokerId', 0, Number.MAX_SAFE_INTEGER),
  };
}

function addressIn(text: string, field: string): string {
  if (ADDRESS.test(text)) return text;
  const what = `${field} is ${JSON.stringify(text)}, but must be host:port`;
  throw new SluiceError('INVALID_ARGUMENT', what);
}

function furtherIn(fields: CommandFieldReader): FurtherFacts {
  const addresses = fields.optionalText('webSocketAddrs', WEB_SOCKET_ADDRS_LENGTH_MAX) ?? '';
  const list = addresses === '' ? [] : addresses.split(',');
  const role = fields.optionalText('role', ROLE_LENGTH_MAX);
  if (list.length > WEB_SOCKET_ADDRS_MAX || (role !== undefined && !/^[A-Z_]+$/.test(role))) {
    const what = `at most ${WEB_SOCKET_ADDRS_MAX} webSocketAddrs are allowed, and a role of capital letters`;
    throw new SluiceError('INVALID_ARGUMENT', what);
  }
  return {
    webSocketAddrs: list.map((address) => addressIn(address, 'webSocketAddrs')),
    role,
    position: fields.optionalInteger('position', 0, Number.MAX_SAFE_INTEGER),
  };
}

function registrationIn(core: NameServerCore, request: NameServerRequest): Registration {
  const { command, connectionId } = request;
  const fields = fieldsOf(request);
  const crc = fields.optionalInteger('bodyCrc32', -0x8000_0000, 0xffff_ffff) ?? 0;
  if (crc !== 0 && crc !== bodyCrc32(command.body))
    throw new SluiceError('RECORD_CORRUPT', 'crc32 not match');
  const identity = identityIn(fields);
  const body = decodeRegisterBrokerBody(
    command.body,
    { compressed: fields.optionalBoolean('compressed') ?? false, version: command.version },
    core.options.inflate,
  );
  if ('refusal' in body) throw body.refusal;
  return {
    ...identity,
    haServerAddr: fields.optionalText('haServerAddr', REGISTERED_NAME_MAX) ?? '',
    epoch: fields.optionalInteger(EPOCH_FIELD, 0, EPOCH_MAX) ?? NO_EPOCH,
    timeoutMs:
      fields.optionalInteger('heartbeatTimeoutMillis', TIMEOUT_MS_MIN, TIMEOUT_MS_MAX) ??
      core.options.brokerTimeoutMs,
    enableActingMaster: fields.optionalBoolean('enableActingMaster'),
    zoneName: fields.optionalText('__ZONE_NAME', REGISTERED_NAME_MAX),
    further: furtherIn(fields),
    connectionId,
    startedAtMs: body.value.topicTable.dataVersion.timestamp,
    ...body.value,
  };
}

/** REGISTER_BROKER (103). */
export function registerBroker(core: NameServerCore, request: NameServerRequest): NameServerAnswer {
  const registration = registrationIn(core, request);
  const { brokerName, brokerAddr, brokerId, clusterName, epoch } = registration;
  const { switches, log } = core.options;
  const isNew = core.routes.brokers.broker(brokerAddr) === undefined;
  // SluiceMQ's brokers always name all of their topics.
  const isWhole = registration.further.webSocketAddrs.length > 0;
  const outcome = core.routes.register(
    registration,
    isWhole || switches.deleteTopicWithBrokerRegistration,
  );
  const facts = { clusterName, brokerName, brokerId, brokerAddr, epoch };
  if (outcome !== 'registered') {
    core.counters.registrationsRefused += 1;
    log.warn('registration-refused', { ...facts, outcome });
    return refusalOf(core, registration, outcome);
  }
  core.counters.registrations += 1;
  core.refused.registered(registration);
  if (isNew) {
    const topicCount = registration.topicTable.topics.length;
    log.info('broker-registered', { ...facts, topicCount });
  }
  return registeredAnswer(core, registration);
}

function registeredAnswer(core: NameServerCore, registration: Registration): NameServerAnswer {
  const { brokerName, brokerId } = registration;
  const fields = new Map<string, string>();
  const master = core.routes.brokers.group(brokerName)?.members.get(MASTER_ID);
  if (brokerId !== MASTER_ID && master !== undefined) {
    fields.set('haServerAddr', master.haServerAddr);
    fields.set('masterAddr', master.brokerAddr);
  }
  const epoch = core.routes.fence.highest(brokerName);
  if (epoch !== NO_EPOCH) fields.set(EPOCH_FIELD, String(epoch));
  const orders = core.options.switches.returnOrderTopicConfigToBroker
    ? core.kv.list(ORDER_TOPIC_NAMESPACE)
    : undefined;
  return { fields, ...(orders === undefined ? {} : { body: encodeKvTable(orders) }) };
}

function refusalOf(
  core: NameServerCore,
  registration: Registration,
  outcome: Exclude<RegisterOutcome, 'registered'>,
): NameServerAnswer {
  const { brokerName, epoch } = registration;
  switch (outcome) {
    case 'superseded':
      return {};
    case 'fenced': {
      const highest = core.routes.fence.highest(brokerName);
      return {
        code: RESPONSE_CODES.CONTROLLER_FENCED_MASTER_EPOCH,
        remark: `epoch ${epoch} of ${brokerName} is over: a master of epoch ${highest} was registered`,
        fields: new Map([[EPOCH_FIELD, String(highest)]]),
      };
    }
    case 'taken':
      return takenAnswer(core, registration);
    case 'other-cluster': {
      const cluster = core.routes.brokers.group(brokerName)?.clusterName;
      const remark = `the broker name ${brokerName} is in use in the cluster ${cluster}`;
      return { code: RESPONSE_CODES.SYSTEM_ERROR, remark };
    }
    case 'full': {
      const remark = 'this NameServer knows as many brokers or topics as it can';
      return { code: RESPONSE_CODES.SYSTEM_ERROR, remark };
    }
  }
}

/** Two processes were given one name and id, or one address. */
function takenAnswer(core: NameServerCore, registration: Registration): NameServerAnswer {
  const holder = core.routes.holderOf(registration);
  const { brokerName, brokerId, brokerAddr, connectionId } = registration;
  const holderAddr = holder?.brokerAddr ?? brokerAddr;
  core.refused.note({ brokerName, brokerId, brokerAddr, holderAddr, connectionId });
  const remark =
    holderAddr === brokerAddr
      ? `another process has registered ${holder?.brokerName}, id ${holder?.brokerId}, at ${brokerAddr} since: each broker needs an address of its own (brokerIP1, frontDoorPort)`
      : `${brokerName}, id ${brokerId}, lives at ${holderAddr}: each broker needs a brokerName and brokerId of its own; this one is taken when the other has stopped, or was silent for ${holder?.timeoutMs} ms`;
  return { code: RESPONSE_CODES.CONTROLLER_BROKER_ID_INVALID, remark };
}

/** The broker that a request is about, if it is registered as that. */
function registered(core: NameServerCore, identity: BrokerIdentity): LiveBroker | undefined {
  const broker = core.routes.brokers.broker(identity.brokerAddr);
  const isSame =
    broker?.brokerName === identity.brokerName && broker.clusterName === identity.clusterName;
  return isSame ? broker : undefined;
}

/** UNREGISTER_BROKER (104). */
export function unregisterBroker(
  core: NameServerCore,
  request: NameServerRequest,
): NameServerAnswer {
  const identity = identityIn(fieldsOf(request));
  const broker = registered(core, identity);
  // A process whose address another one has told since does not take that one away with itself.
  const isSame =
    broker?.brokerId === identity.brokerId && request.connectionId >= broker.connectionId;
  if (broker !== undefined && isSame) {
    core.counters.brokersUnregistered += 1;
    core.forget(broker, 'it unregistered');
  }
  return {};
}

/** BROKER_HEARTBEAT (904). */
export function heartbeat(core: NameServerCore, request: NameServerRequest): NameServerAnswer {
  const fields = fieldsOf(request);
  const brokerAddr = fields.text('brokerAddr', REGISTERED_NAME_MAX);
  const broker = core.routes.brokers.broker(brokerAddr);
  const isSame =
    broker?.brokerName === fields.text('brokerName', REGISTERED_NAME_MAX) &&
    broker.clusterName === fields.text('clusterName', REGISTERED_NAME_MAX);
  if (isSame) core.routes.brokers.heard(broker);
  return {};
}

/** QUERY_DATA_VERSION (322): is what the broker would register anything new? */
export function queryDataVersion(
  core: NameServerCore,
  request: NameServerRequest,
): NameServerAnswer {
  const broker = registered(core, identityIn(fieldsOf(request)));
  const given = decodeDataVersion(request.command.body);
  if ('refusal' in given) throw given.refusal;
  const known = broker?.dataVersion;
  const isChanged = known === undefined || !sameDataVersion(known, given.value);
  if (broker !== undefined && !isChanged) core.routes.brokers.heard(broker);
  return {
    fields: new Map([['changed', String(isChanged)]]),
    ...(known === undefined ? {} : { body: encodeDataVersion(known) }),
  };
}

/** REGISTER_TOPIC_IN_NAMESRV (217). */
export function registerTopic(core: NameServerCore, request: NameServerRequest): NameServerAnswer {
  const topic = readName(fieldsOf(request).text('topic', REGISTERED_NAME_MAX), 'the topic');
  if (request.command.body.length === 0) return {};
  const queues = decoded(() =>
    new BodyReader(parseLenientJson(request.command.body), 'TopicRouteData')
      .items('queueDatas', NAMESRV_BROKERS_MAX)
      .map(readQueueData),
  );
  if ('refusal' in queues) throw queues.refusal;
  if (core.routes.addTopic(topic, queues.value)) return {};
  return {
    code: RESPONSE_CODES.SYSTEM_ERROR,
    remark: 'this NameServer knows as many topics as it can',
  };
}
