/** All families of requests. A code without a handler is answered with REQUEST_CODE_NOT_SUPPORTED. */
import { adminBrokerHandlers } from './admin-broker.ts';
import { adminGroupHandlers } from './admin-groups.ts';
import { adminTopicHandlers } from './admin-topics.ts';
import { groupHandlers } from './group-handlers.ts';
import { lookupHandlers } from './lookup-handlers.ts';
import { pullHandlers } from './pull-handlers.ts';
import { queueHandlers } from './queue-handlers.ts';
import type { HandlerFamily, RemotingContext, RemotingHandler } from './remoting-context.ts';
import { replyHandlers } from './reply-handlers.ts';
import { sendHandlers } from './send-handlers.ts';
import { topicHandlers } from './topic-handlers.ts';
import { transactionHandlers } from './transaction-handlers.ts';

const FAMILIES: readonly HandlerFamily[] = [
  sendHandlers,
  replyHandlers,
  pullHandlers,
  queueHandlers,
  lookupHandlers,
  groupHandlers,
  topicHandlers,
  transactionHandlers,
  adminBrokerHandlers,
  adminTopicHandlers,
  adminGroupHandlers,
];

/** Request code → handler. */
export function handlersOf(context: RemotingContext): ReadonlyMap<number, RemotingHandler> {
  return new Map(FAMILIES.flatMap((family) => family(context)));
}
