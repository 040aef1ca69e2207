/**
 * Topics made and deleted by clients and tools: UPDATE_AND_CREATE_TOPIC, DELETE_TOPIC_IN_BROKER.
 *
 * @source RocketMQ AdminBrokerProcessor
 */
import { SluiceError } from '../base/errors.ts';
import { REGISTERED_NAME_MAX, TOPIC_QUEUES_MAX } from '../base/limits.ts';
import { checkTopicName } from '../base/names.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import type { RemotingRequest } from './remoting-request.ts';
import { isSystemTopic } from './send-topic.ts';

async function createTopic(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const { core, facts } = context;
  const fields = request.checkedFields();
  const name = fields.text('topic', REGISTERED_NAME_MAX);
  checkTopicName(name);
  if (isSystemTopic(name))
    throw new SluiceError('INVALID_ARGUMENT', `The topic[${name}] is conflict with system topic.`);
  const reads = fields.integer('readQueueNums', 1, TOPIC_QUEUES_MAX);
  const writes = fields.integer('writeQueueNums', 1, TOPIC_QUEUES_MAX);
  if (reads !== writes) {
    const text = `the topic ${name} is asked for with ${reads} read and ${writes} write queues; here all queues are both`;
    throw new SluiceError('INVALID_ARGUMENT', text, { hint: 'Give both the same number.' });
  }
  // What a topic here has beside its queues no request of RocketMQ speaks of: it stays as it is.
  const { retentionMs, retentionBytes, whenFull } = core.topics.find(name) ?? {};
  await core.topics.create(name, {
    queues: reads,
    retentionMs: retentionMs ?? undefined,
    retentionBytes: retentionBytes ?? undefined,
    whenFull,
  });
  // Who made it asks a NameServer for it next: RocketMQ registers before it answers, too.
  await facts.announced();
  request.answer({});
}

async function deleteTopic({ core }: RemotingContext, request: RemotingRequest): Promise<void> {
  const name = request.checkedFields().text('topic', REGISTERED_NAME_MAX);
  const topic = core.topics.find(name);
  // RocketMQ's tools ask every broker of a cluster: one that has no such topic has nothing to do.
  if (topic !== undefined) {
    await core.topics.records.remove(topic);
    core.subscriptions.closeTopic(topic.topicId);
  }
  request.answer({});
}

/** Topics that are made and deleted by name. */
export function topicHandlers(context: RemotingContext): HandlerTable {
  return [
    [REQUEST_CODES.UPDATE_AND_CREATE_TOPIC, (request) => createTopic(context, request)],
    [REQUEST_CODES.DELETE_TOPIC_IN_BROKER, (request) => deleteTopic(context, request)],
  ];
}
