/**
 * What each request touches, which is not always what it names: a message that is looked up, sent back or committed by its place
 * in the log belongs to the topic that is stored there, a message to %RETRY%g to the group g whatever group the header says, and
 * a reply goes by the reply topic of this cluster. One table for all requests that are served; a request without an entry is an
 * administrator's. Read by the guard before any handler.
 *
 * @source docs/ROCKETMQ.md, "Access"
 */
import { CLIENT_ID_MAX, REGISTERED_NAME_MAX } from '../base/limits.ts';
import type { CommandView } from '../protocol/remoting/command.ts';
import { CommandFieldReader } from '../protocol/remoting/field-reader.ts';
import { decodeLockBatch } from '../protocol/remoting/group-bodies-codec.ts';
import { fieldName } from '../protocol/remoting/header-fields.ts';
import {
  type ConsumerData,
  decodeCheckClient,
  decodeHeartbeat,
} from '../protocol/remoting/heartbeat-codec.ts';
import { REQUEST_CODES, requestNameOf } from '../protocol/remoting/request-codes.ts';
import { type Right, type Touched, touchedGroup, touchedTopic } from './access-rights.ts';
import { LETTER_NAMES, LONG_NAMES } from './send-head.ts';

/** What the broker knows that no request says. */
export type TouchFacts = {
  /** The topic by which replies go, whatever the request calls it. */
  readonly replyTopic: string;
  /** The topic of what is stored at a physical offset. @throws MESSAGE_NOT_FOUND: then the request touches nothing */
  readonly topicAt: (offset: string) => Promise<string>;
};

type Touches = (command: CommandView, facts: TouchFacts) => readonly Touched[];
/** The same for what must be looked up: the command is the callee's own. */
type StoredTouches = (command: CommandView, facts: TouchFacts) => Promise<readonly Touched[]>;

const TOPIC = fieldName('topic');
const CONSUMER_GROUP = fieldName('consumerGroup');

function fieldsOf(command: CommandView): CommandFieldReader {
  return new CommandFieldReader(command.fields, requestNameOf(command.code));
}

function send(names: typeof LONG_NAMES): Touches {
  return (command) => [touchedTopic(command.fields.text(names.topic) ?? '', 'PUB')];
}

/** The client that asked sees the reply under the topic that the request names. */
function reply(names: typeof LONG_NAMES): Touches {
  const named = send(names);
  return (command, facts) => [touchedTopic(facts.replyTopic, 'PUB'), ...named(command, facts)];
}

function pull({ fields }: CommandView): readonly Touched[] {
  return [
    touchedGroup(fields.text(CONSUMER_GROUP) ?? ''),
    touchedTopic(fields.text(TOPIC) ?? '', 'SUB'),
  ];
}

function topic(right: Right): Touches {
  return (command) => [touchedTopic(fieldsOf(command).text('topic', REGISTERED_NAME_MAX), right)];
}

function group(command: CommandView): readonly Touched[] {
  return [touchedGroup(fieldsOf(command).text('consumerGroup', REGISTERED_NAME_MAX))];
}

function consumer({ group: name, subscriptions }: Subscribed): readonly Touched[] {
  return [touchedGroup(name), ...subscriptions.map((one) => touchedTopic(one.topic, 'SUB'))];
}

type Subscribed = {
  readonly group: string;
  readonly subscriptions: readonly Pick<ConsumerData['subscriptions'][number], 'topic'>[];
};

/** Producers touch nothing by saying that they are there: what half messages they are asked about is decided then. */
function heartbeat(command: CommandView): readonly Touched[] {
  const decoded = decodeHeartbeat(command.body);
  if ('refusal' in decoded) throw decoded.refusal;
  return decoded.value.consumers.flatMap(consumer);
}

function checkClient(command: CommandView): readonly Touched[] {
  const decoded = decodeCheckClient(command.body);
  if ('refusal' in decoded) throw decoded.refusal;
  const { group: name, subscription } = decoded.value;
  return consumer({ group: name, subscriptions: [subscription] });
}

function unregister(command: CommandView): readonly Touched[] {
  const fields = fieldsOf(command);
  fields.text('clientID', CLIENT_ID_MAX);
  const name = fields.optionalText('consumerGroup', REGISTERED_NAME_MAX);
  return name === undefined || name === '' ? [] : [touchedGroup(name)];
}

function locks(command: CommandView): readonly Touched[] {
  const decoded = decodeLockBatch(command.body);
  if ('refusal' in decoded) throw decoded.refusal;
  const { group: name, queues } = decoded.value;
  return consumer({ group: name, subscriptions: queues });
}

async function viewed(command: CommandView, facts: TouchFacts): Promise<readonly Touched[]> {
  const offset = fieldsOf(command).text('offset', REGISTERED_NAME_MAX);
  return [touchedTopic(await facts.topicAt(offset), 'SUB')];
}

/** The message is copied to where the group reads it. `originTopic` is what the client says; nothing is done by it. */
async function sentBack(command: CommandView, facts: TouchFacts): Promise<readonly Touched[]> {
  const fields = fieldsOf(command);
  const name = fields.text('group', REGISTERED_NAME_MAX);
  const offset = fields.text('offset', REGISTERED_NAME_MAX);
  return [touchedGroup(name), touchedTopic(await facts.topicAt(offset), 'SUB')];
}

/** `topic` and `producerGroup` are what the client says; nothing is done by them. */
async function ended(command: CommandView, facts: TouchFacts): Promise<readonly Touched[]> {
  const offset = fieldsOf(command).text('commitLogOffset', REGISTERED_NAME_MAX);
  return [touchedTopic(await facts.topicAt(offset), 'PUB')];
}

const groupOnTopic: Touches = (command, facts) => [
  ...group(command),
  ...topic('SUB')(command, facts),
];

const IN_REQUEST: ReadonlyMap<number, Touches> = new Map([
  [REQUEST_CODES.SEND_MESSAGE, send(LONG_NAMES)],
  [REQUEST_CODES.SEND_MESSAGE_V2, send(LETTER_NAMES)],
  [REQUEST_CODES.SEND_BATCH_MESSAGE, send(LETTER_NAMES)],
  [REQUEST_CODES.SEND_REPLY_MESSAGE, reply(LONG_NAMES)],
  [REQUEST_CODES.SEND_REPLY_MESSAGE_V2, reply(LETTER_NAMES)],
  [REQUEST_CODES.PULL_MESSAGE, pull],
  [REQUEST_CODES.LITE_PULL_MESSAGE, pull],
  [REQUEST_CODES.GET_MAX_OFFSET, topic('ANY')],
  [REQUEST_CODES.GET_MIN_OFFSET, topic('ANY')],
  [REQUEST_CODES.SEARCH_OFFSET_BY_TIMESTAMP, topic('ANY')],
  [REQUEST_CODES.GET_EARLIEST_MSG_STORETIME, topic('ANY')],
  [REQUEST_CODES.QUERY_MESSAGE, topic('SUB')],
  [REQUEST_CODES.HEART_BEAT, heartbeat],
  [REQUEST_CODES.CHECK_CLIENT_CONFIG, checkClient],
  [REQUEST_CODES.UNREGISTER_CLIENT, unregister],
  [REQUEST_CODES.GET_CONSUMER_LIST_BY_GROUP, group],
  [REQUEST_CODES.QUERY_CONSUMER_OFFSET, groupOnTopic],
  [REQUEST_CODES.UPDATE_CONSUMER_OFFSET, groupOnTopic],
  [REQUEST_CODES.LOCK_BATCH_MQ, locks],
  [REQUEST_CODES.UNLOCK_BATCH_MQ, locks],
] as const);

const IN_STORE: ReadonlyMap<number, StoredTouches> = new Map([
  [REQUEST_CODES.VIEW_MESSAGE_BY_ID, viewed],
  [REQUEST_CODES.CONSUMER_SEND_MSG_BACK, sentBack],
  [REQUEST_CODES.END_TRANSACTION, ended],
] as const);

/** Requests of operators and their tools. Listed, so that a new request is put somewhere by somebody who has thought of it. */
const OF_ADMINS: ReadonlySet<number> = new Set([
  REQUEST_CODES.UPDATE_AND_CREATE_TOPIC,
  REQUEST_CODES.DELETE_TOPIC_IN_BROKER,
  REQUEST_CODES.GET_ALL_TOPIC_CONFIG,
  REQUEST_CODES.GET_TOPIC_CONFIG,
  REQUEST_CODES.GET_TOPIC_STATS_INFO,
  REQUEST_CODES.GET_SYSTEM_TOPIC_LIST_FROM_BROKER,
  REQUEST_CODES.QUERY_TOPIC_CONSUME_BY_WHO,
  REQUEST_CODES.GET_BROKER_CONFIG,
  REQUEST_CODES.UPDATE_BROKER_CONFIG,
  REQUEST_CODES.CLEAN_UNUSED_TOPIC,
  REQUEST_CODES.CLEAN_EXPIRED_CONSUMEQUEUE,
  REQUEST_CODES.GET_BROKER_RUNTIME_INFO,
  REQUEST_CODES.UPDATE_BROKER_CONFIG,
  REQUEST_CODES.CLEAN_UNUSED_TOPIC,
  REQUEST_CODES.CLEAN_EXPIRED_CONSUMEQUEUE,
  REQUEST_CODES.VIEW_BROKER_STATS_DATA,
  REQUEST_CODES.GET_CONSUMER_CONNECTION_LIST,
  REQUEST_CODES.GET_PRODUCER_CONNECTION_LIST,
  REQUEST_CODES.GET_ALL_PRODUCER_INFO,
  REQUEST_CODES.GET_CONSUMER_RUNNING_INFO,
  REQUEST_CODES.CONSUME_MESSAGE_DIRECTLY,
  REQUEST_CODES.INVOKE_BROKER_TO_RESET_OFFSET,
  REQUEST_CODES.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
  REQUEST_CODES.DELETE_SUBSCRIPTIONGROUP,
  REQUEST_CODES.GET_ALL_SUBSCRIPTIONGROUP_CONFIG,
  REQUEST_CODES.GET_SUBSCRIPTIONGROUP_CONFIG,
  REQUEST_CODES.GET_CONSUME_STATS,
  REQUEST_CODES.GET_BROKER_CONSUME_STATS,
  REQUEST_CODES.CLONE_GROUP_OFFSET,
  REQUEST_CODES.GET_ALL_CONSUMER_OFFSET,
  REQUEST_CODES.QUERY_TOPICS_BY_CONSUMER,
]);

/** All codes that have an entry. */
export function codesWithTouches(): readonly number[] {
  return [...IN_REQUEST.keys(), ...IN_STORE.keys(), ...OF_ADMINS];
}

/** Must what it touches be looked up? Then it outlives its frame. */
export function isLookedUp(code: number): boolean {
  return IN_STORE.has(code);
}

/**
 * The topics and groups that a request touches, and how; `admin`: only administrators may ask.
 *
 * @param command - where `isLookedUp`, one that outlives its frame
 * @throws INVALID_ARGUMENT, BAD_FRAME, MESSAGE_NOT_FOUND for a request that touches nothing because it is wrong
 */
export function touchedResources(
  command: CommandView,
  facts: TouchFacts,
): 'admin' | readonly Touched[] | Promise<readonly Touched[]> {
  const touches = IN_REQUEST.get(command.code) ?? IN_STORE.get(command.code);
  return touches === undefined ? 'admin' : touches(command, facts);
}
