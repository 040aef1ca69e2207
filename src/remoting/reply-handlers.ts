/**
 * Request and reply: SEND_REPLY_MESSAGE, in either spelling, is pushed to the client that asked, which has told of itself in a
 * heartbeat on this broker. Nothing of it is stored: a reply that nobody waits for any more is of no use.
 *
 * @source RocketMQ ReplyMessageProcessor
 */
import { SluiceError } from '../base/errors.ts';
import type { ReceivedCommand } from '../protocol/remoting/command.ts';
import { hostText } from '../protocol/remoting/host-bytes.ts';
import { DEFAULT_REGION, PROPERTY } from '../protocol/remoting/message-properties.ts';
import { propertyIn, withProperties } from '../protocol/remoting/property-text.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import type { RemotingRequest } from './remoting-request.ts';
import { LETTER_NAMES, LONG_NAMES, readSendHead, type SendHead } from './send-head.ts';

/** Milliseconds that the client which asked has to take its reply. @source RocketMQ Broker2Client.callClient */
const PUSH_MS_MAX = 10_000;

async function reply(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const isLong = request.code === REQUEST_CODES.SEND_REPLY_MESSAGE;
  const head = readSendHead(request.fields, isLong ? LONG_NAMES : LETTER_NAMES);
  const body = request.body.slice();
  const clientId = propertyIn(head.properties, PROPERTY.REPLY_TO_CLIENT);
  if (clientId === undefined)
    throw new SluiceError('INVALID_ARGUMENT', 'the reply does not say whom it is for');
  const asker = context.clients.producerWithId(clientId);
  if (asker === undefined) {
    const remark = `push reply message fail, channel of <${clientId}> not found.`;
    request.answer({ code: RESPONSE_CODES.SYSTEM_ERROR, remark });
    return;
  }
  const call = {
    code: REQUEST_CODES.PUSH_REPLY_MESSAGE_TO_CLIENT,
    fields: pushFields(context, request, head),
    body,
  };
  const deadlineMs = context.core.clock.monotonicMs() + PUSH_MS_MAX;
  const answer: ReceivedCommand = await asker.connection.ask(call, deadlineMs);
  if (answer.code !== RESPONSE_CODES.SUCCESS) {
    const remark = `push reply message to <${clientId}> fail: ${answer.remark ?? answer.code}`;
    request.answer({ code: RESPONSE_CODES.SYSTEM_ERROR, remark });
    return;
  }
  const fields = new Map([
    ['msgId', '0'],
    ['queueId', String(Math.max(0, head.queueId))],
    ['queueOffset', '0'],
    ['MSG_REGION', DEFAULT_REGION],
    ['TRACE_ON', 'true'],
  ]);
  request.answer({ fields });
}

function pushFields(
  { core, identity }: RemotingContext,
  { connection }: RemotingRequest,
  head: SendHead,
): ReadonlyMap<string, string> {
  const nowText = String(core.clock.epochMs());
  return new Map([
    ['producerGroup', head.producerGroup],
    ['topic', head.topic],
    ['defaultTopic', head.defaultTopic],
    ['defaultTopicQueueNums', String(head.defaultTopicQueueNums)],
    ['queueId', String(head.queueId)],
    ['sysFlag', String(head.sysFlag)],
    ['bornTimestamp', String(head.bornTimestamp)],
    ['flag', String(head.flag)],
    ['properties', withProperties(head.properties, [[PROPERTY.PUSH_REPLY_TIME, nowText]])],
    ['reconsumeTimes', String(head.reconsumeTimes)],
    ['unitMode', 'false'],
    ['bornHost', hostText(connection.bornHost)],
    ['storeHost', hostText(identity.storeHost)],
    ['storeTimestamp', nowText],
  ]);
}

/** Replies to requests. */
export function replyHandlers(context: RemotingContext): HandlerTable {
  return [
    [REQUEST_CODES.SEND_REPLY_MESSAGE, (request) => reply(context, request)],
    [REQUEST_CODES.SEND_REPLY_MESSAGE_V2, (request) => reply(context, request)],
  ];
}
