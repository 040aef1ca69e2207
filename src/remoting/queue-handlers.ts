/**
 * The ends of a queue and what lies at a time: SEARCH_OFFSET_BY_TIMESTAMP, GET_MAX_OFFSET, GET_MIN_OFFSET,
 * GET_EARLIEST_MSG_STORETIME.
 *
 * @source RocketMQ AdminBrokerProcessor
 */
import { checkQueue } from '../acceptor/send-plan.ts';
import { FETCH_BYTES_MAX, REGISTERED_NAME_MAX, TOPIC_QUEUES_MAX } from '../base/limits.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import type { TopicRecord } from '../protocol/shard-control.ts';
import { queueStatus } from './queue-state.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import type { RemotingRequest } from './remoting-request.ts';

type Queue = { readonly topic: TopicRecord; readonly queueId: number };

/** @throws TOPIC_NOT_FOUND, QUEUE_NOT_FOUND, INVALID_ARGUMENT */
function queueOf({ core }: RemotingContext, request: RemotingRequest): Queue {
  const fields = request.checkedFields();
  const topic = core.topics.existing(fields.text('topic', REGISTERED_NAME_MAX));
  const queueId = fields.integer('queueId', 0, TOPIC_QUEUES_MAX - 1);
  checkQueue(topic, queueId);
  return { topic, queueId };
}

function answerOffset(request: RemotingRequest, offset: number): void {
  request.answer({ fields: new Map([['offset', String(offset)]]) });
}

async function maxOffset(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const { topic, queueId } = queueOf(context, request);
  const status = await queueStatus(context, topic, queueId);
  answerOffset(request, status.maxOffset);
}

async function minOffset(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const { topic, queueId } = queueOf(context, request);
  const status = await queueStatus(context, topic, queueId);
  answerOffset(request, status.minOffset);
}

async function offsetAtTime(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const { topic, queueId } = queueOf(context, request);
  const fields = request.checkedFields();
  const wanted = fields.integer('timestamp', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const isUpper =
    fields.optionalText('boundaryType', REGISTERED_NAME_MAX)?.toUpperCase() === 'UPPER';
  // The last one of a time or before is the one before the first that is later.
  const epochMs = Math.max(0, isUpper ? wanted + 1 : wanted);
  const link = context.core.links.ofQueue(topic.topicId, queueId);
  const { offset } = await link.control<{ readonly offset: number }>({
    ...{ op: 'offsetAtTime', topicId: topic.topicId, queueId, epochMs },
  });
  answerOffset(request, isUpper ? Math.max(0, offset - 1) : offset);
}

async function earliestStoreTime(
  context: RemotingContext,
  request: RemotingRequest,
): Promise<void> {
  const { topic, queueId } = queueOf(context, request);
  const { minOffset: offset } = await queueStatus(context, topic, queueId);
  const wish = { queueId, offset, max: 1, bytesMax: FETCH_BYTES_MAX, waitMs: 0 };
  context.core.fetches.fetchParts(topic, wish, {
    read: (extent, stored) => context.messages.write(topic.topic, extent, stored, undefined),
    done: ({ parts }) =>
      request.answer({ fields: new Map([['timestamp', String(parts[0]?.storedAtMs ?? -1)]]) }),
    failed: request.refuse,
  });
}

/** Where queues begin and end. */
export function queueHandlers(context: RemotingContext): HandlerTable {
  return [
    [REQUEST_CODES.GET_MAX_OFFSET, (request) => maxOffset(context, request)],
    [REQUEST_CODES.GET_MIN_OFFSET, (request) => minOffset(context, request)],
    [REQUEST_CODES.SEARCH_OFFSET_BY_TIMESTAMP, (request) => offsetAtTime(context, request)],
    [REQUEST_CODES.GET_EARLIEST_MSG_STORETIME, (request) => earliestStoreTime(context, request)],
  ];
}
