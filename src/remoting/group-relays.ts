/**
 * What a tool asks a consumer by way of the broker: GET_CONSUMER_RUNNING_INFO, CONSUME_MESSAGE_DIRECTLY; what the consumer answers
 * goes back as it came. And INVOKE_BROKER_TO_RESET_OFFSET, which the broker carries out itself.
 *
 * @source RocketMQ AdminBrokerProcessor, Broker2Client
 */
import { SluiceError } from '../base/errors.ts';
import { CLIENT_ID_MAX, REGISTERED_NAME_MAX, TOPIC_QUEUES_MAX } from '../base/limits.ts';
import type { Member } from '../membership/consumer-group.ts';
import { encodeOffsetTable } from '../protocol/remoting/group-bodies-codec.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { GroupRecord, StartPoint, TopicRecord } from '../protocol/shard-control.ts';
import { messageAt } from './lookup-handlers.ts';
import type { RemotingConnection } from './remoting-connection.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import type { RemotingRequest } from './remoting-request.ts';
import { locateMessage } from './stored-record.ts';

/** Milliseconds that a consumer has for its answer. @source RocketMQ Broker2Client */
const CLIENT_ANSWER_MS = 10_000;
/** Digits of the physical offset at the end of a message id. */
const OFFSET_DIGITS = 16;
const MESSAGE_ID = /^(?:[0-9a-f]{32}|[0-9a-f]{56})$/i;

/** Requests about the members of a group. */
export function relayHandlers(context: RemotingContext): HandlerTable {
  return [
    [REQUEST_CODES.GET_CONSUMER_RUNNING_INFO, (request) => runningInfo(context, request)],
    [REQUEST_CODES.CONSUME_MESSAGE_DIRECTLY, (request) => consumeDirectly(context, request)],
    [REQUEST_CODES.INVOKE_BROKER_TO_RESET_OFFSET, (request) => resetOffset(context, request)],
  ];
}

async function runningInfo(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const fields = request.checkedFields();
  const group = fields.text('consumerGroup', REGISTERED_NAME_MAX);
  const clientId = fields.text('clientId', CLIENT_ID_MAX);
  const wantsStacks = fields.optionalBoolean('jstackEnable') === true;
  const asked = new Map([
    ['consumerGroup', group],
    ['clientId', clientId],
    ['jstackEnable', String(wantsStacks)],
  ]);
  await relay(context, request, { group, clientId, fields: asked });
}

async function consumeDirectly(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const fields = request.checkedFields();
  const group = fields.text('consumerGroup', REGISTERED_NAME_MAX);
  const messageId = fields.text('msgId', REGISTERED_NAME_MAX);
  const topic = fields.optionalText('topic', REGISTERED_NAME_MAX);
  const wanted = fields.optionalText('clientId', CLIENT_ID_MAX);
  const clientId = wanted === undefined || wanted === '' ? undefined : wanted;
  if (!MESSAGE_ID.test(messageId))
    throw new SluiceError('INVALID_ARGUMENT', `${messageId} is no id that a broker gave a message`);
  const offset = BigInt(`0x${messageId.slice(-OFFSET_DIGITS)}`).toString();
  const { shard, location } = await locateMessage(context, offset);
  const found = await messageAt(context, shard, location);
  const asked = new Map([
    ['consumerGroup', group],
    ['msgId', messageId],
    ['brokerName', context.identity.brokerName],
    ...(clientId === undefined ? [] : ([['clientId', clientId]] as const)),
    ...(topic === undefined ? [] : ([['topic', topic]] as const)),
  ]);
  await relay(context, request, { group, clientId, fields: asked, body: found?.bytes });
}

/** Asks the member, and answers with what it says. */
async function relay(
  context: RemotingContext,
  request: RemotingRequest,
  what: {
    readonly group: string;
    readonly clientId: string | undefined;
    readonly fields: ReadonlyMap<string, string>;
    readonly body?: Uint8Array | undefined;
  },
): Promise<void> {
  const { group, clientId, fields, body } = what;
  const member = memberOf(context, group, clientId);
  if (member === undefined) {
    const remark = `The Consumer <${group}> <${clientId ?? 'any'}> not online`;
    request.answer({ code: RESPONSE_CODES.SYSTEM_ERROR, remark });
    return;
  }
  const deadlineMs = context.core.clock.monotonicMs() + CLIENT_ANSWER_MS;
  try {
    const call = { code: request.code, fields, ...(body === undefined ? {} : { body }) };
    const answer = await member.connection.ask(call, deadlineMs);
    request.answer({
      ...{ code: answer.code, remark: answer.remark, fields: answer.fields, body: answer.body },
    });
  } catch (error) {
    const isLate = error instanceof SluiceError && error.code === 'TIMEOUT';
    if (!isLate) throw error;
    // ali-ons answers no question of a broker.
    const remark = `the consumer <${group}> <${member.clientId}> has not answered within ${CLIENT_ANSWER_MS} ms`;
    request.answer({ code: RESPONSE_CODES.CONSUME_MSG_TIMEOUT, remark });
  }
}

function memberOf(
  { clients }: RemotingContext,
  groupName: string,
  clientId: string | undefined,
): Member<RemotingConnection> | undefined {
  const group = clients.consumerGroup(groupName);
  return clientId === undefined ? group?.members()[0] : group?.client(clientId);
}

async function resetOffset(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const { core, identity } = context;
  const fields = request.checkedFields();
  const topic = core.topics.existing(fields.text('topic', REGISTERED_NAME_MAX));
  const group = core.groups.existing(fields.text('group', REGISTERED_NAME_MAX));
  const epochMs = fields.integer('timestamp', -1, Number.MAX_SAFE_INTEGER);
  const queueId = fields.optionalInteger('queueId', -1, TOPIC_QUEUES_MAX - 1) ?? -1;
  const offset = fields.optionalInteger('offset', -1, Number.MAX_SAFE_INTEGER) ?? -1;
  if (context.isSlave()) throw new SluiceError('NOT_MASTER');
  const to = await targetOf(context, { group, topic, epochMs, queueId, offset });
  const { queues } = await core.offsets.reset(group, topic, to, false);
  const { brokerName } = identity;
  const offsets = queues.map(
    ({ queueId: id, after }) => [{ brokerName, topic: topic.topic, queueId: id }, after] as const,
  );
  request.answer({ body: encodeOffsetTable(offsets) });
}

/** A time, the end (-1), or one queue alone, at a time or an offset of it. */
async function targetOf(
  { core }: RemotingContext,
  wish: {
    readonly group: GroupRecord;
    readonly topic: TopicRecord;
    readonly epochMs: number;
    readonly queueId: number;
    readonly offset: number;
  },
): Promise<StartPoint> {
  const { group, topic, epochMs, queueId, offset } = wish;
  const at: StartPoint = epochMs < 0 ? { kind: 'latest' } : { kind: 'time', epochMs };
  if (queueId < 0) return at;
  if (offset >= 0) return { kind: 'offsets', offsets: { [String(queueId)]: offset } };
  const { queues } = await core.offsets.reset(group, topic, at, true);
  const found = queues.find((queue) => queue.queueId === queueId);
  if (found === undefined)
    throw new SluiceError('QUEUE_NOT_FOUND', `the topic ${topic.topic} has no queue ${queueId}`);
  return { kind: 'offsets', offsets: { [String(queueId)]: found.after } };
}
