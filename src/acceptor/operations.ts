/**
 * What each op of JSON and CONTROL frames does, one function an op: the request is checked already, the answer goes to
 * its responder, now or later.
 */
import { SluiceError } from '../base/errors.ts';
import {
  AUTH_FAILURES_PER_CONNECTION_MAX,
  BATCH_BYTES_MAX,
  CREDIT_MAX,
  DEDUP_BATCHES_MAX,
  FRAME_BYTES_MAX,
  SUBSCRIPTIONS_PER_CONNECTION_MAX,
} from '../base/limits.ts';
import { checkGroupName } from '../base/names.ts';
import type {
  CheckedRequest,
  SeekCommand,
  SubscribeCommand,
} from '../protocol/web/checked-requests.ts';
import type { RequestOp, WelcomeLimits } from '../protocol/web/messages.ts';
import type { AcceptorCore } from './acceptor-core.ts';
import type { Responder } from './responder.ts';
import { checkQueue } from './send-plan.ts';
import { CLOSE_POLICY, type Session } from './session.ts';
import type { Subscription } from './subscription.ts';

const PROTOCOL_VERSION = 1;

/** What a client may use. */
export function welcomeLimits(core: AcceptorCore): WelcomeLimits {
  return {
    frameBytes: FRAME_BYTES_MAX,
    batchBytes: Math.min(BATCH_BYTES_MAX, core.links.get(0).batchBytesMax),
    bodyBytes: core.config.bodyBytesMax,
    inFlight: core.config.inFlightRequestsMax,
    credit: CREDIT_MAX,
    producerBatches: DEDUP_BATCHES_MAX,
  };
}

type RequestOf<Op extends RequestOp> = Extract<CheckedRequest, { readonly op: Op }>;
type Operation<Op extends RequestOp> = (
  core: AcceptorCore,
  request: RequestOf<Op>,
  responder: Responder,
) => void;

/** Ops that a connection may use before it has authenticated. */
const WITHOUT_TOKEN: ReadonlySet<RequestOp> = new Set(['hello', 'ping']);
/** Ops that begin no new work, and so go on while the broker drains. */
const WHILE_DRAINING: ReadonlySet<RequestOp> = new Set([
  'hello',
  'ping',
  'unsubscribe',
  'credit',
  'ack',
  'nack',
  'extend',
  'endTransaction',
]);

const OPERATIONS: { readonly [Op in RequestOp]: Operation<Op> } = {
  hello: (core, request, responder) => hello(core, request, responder),
  send: (core, { send }, responder) => {
    core.sends.submit(send, responder.session, (outcome) => {
      if ('refusal' in outcome) responder.refuseBody(outcome.refusal);
      else responder.answer('sent', outcome);
    });
  },
  topic: (core, { topic, create }, responder) => {
    core.topics.require(topic, create).then(
      (record) =>
        responder.answer('topic', {
          topic: record.topic,
          topicId: record.topicId,
          queues: record.queues,
        }),
      responder.refuseThrown,
    );
  },
  subscribe: (core, { subscribe: command }, responder) => {
    subscribe(core, command, responder).catch(responder.refuseThrown);
  },
  unsubscribe: (core, { subscription }, responder) => {
    core.subscriptions.close(ownSubscription(core, responder.session, subscription));
    responder.answer('ok');
  },
  credit: (core, { subscription, more, less }, responder) => {
    const { ledger } = ownSubscription(core, responder.session, subscription);
    // What is on its way has taken its credit already.
    const taken = Math.min(less, ledger.credit);
    if (less > 0) ledger.reduce(taken);
    else ledger.add(more);
    if (responder.id === undefined) responder.dismiss();
    else responder.answer('ok', less > 0 ? { taken } : {});
  },
  ack: settle,
  nack: settle,
  extend: settle,
  fetch: (core, { fetch: command }, responder) => {
    const topic = core.topics.existing(command.topic);
    checkQueue(topic, command.queueId);
    core.fetches.fetch(topic, command, (fieldsJson, failure) => {
      if (failure !== undefined) responder.refuse(failure);
      else responder.answerText('fetched', fieldsJson ?? '');
    });
  },
  seek: (core, request, responder) => {
    seek(core, request.seek, responder).catch(responder.refuseThrown);
  },
  delayed: (core, { topic, key, max }, responder) => {
    core.delayed
      .list(topic, key, max)
      .then((list) => responder.answer('delayed', list), responder.refuseThrown);
  },
  cancelDelayed: (core, { topic, target }, responder) => {
    core.delayed
      .cancel(topic, target)
      .then((result) => responder.answer('cancelDelayed', result), responder.refuseThrown);
  },
  checkTransactions: (core, { group }, responder) => {
    checkGroupName(group);
    core.sessionChecker.join(group, responder.session);
    responder.answer('ok');
  },
  endTransaction: (core, { messageId, isCommit, group }, responder) => {
    core.transactions
      .end(messageId, isCommit, group)
      .then((outcome) => responder.answer('endTransaction', { outcome }), responder.refuseThrown);
  },
  ping: (_core, _request, responder) => responder.answer('pong'),
};

/** Carries out one request, or refuses it. Never throws. */
export function operate(core: AcceptorCore, request: CheckedRequest, responder: Responder): void {
  const { session } = responder;
  if (!session.isAuthenticated && !WITHOUT_TOKEN.has(request.op)) {
    responder.refuse(
      new SluiceError('UNAUTHENTICATED', `the op ${request.op} needs a token`, {
        hint: 'Send {"op":"hello","token":"…"} first.',
      }),
    );
    return;
  }
  if (core.isDraining && !WHILE_DRAINING.has(request.op)) {
    responder.refuse(new SluiceError('DRAINING'));
    return;
  }
  if (!responder.begin()) return;
  try {
    // The table has for each op the function that takes its request; the compiler does not follow that by itself.
    const operation = OPERATIONS[request.op] as Operation<RequestOp>;
    operation(core, request, responder);
  } catch (error) {
    responder.refuseThrown(error);
  }
}

function hello(core: AcceptorCore, request: RequestOf<'hello'>, responder: Responder): void {
  const { session } = responder;
  if (request.token !== undefined) {
    const refusal = core.auth.check(request.token, session.connection.remoteAddress);
    if (refusal !== undefined) {
      responder.refuse(refusal);
      session.authFailures += 1;
      if (session.authFailures >= AUTH_FAILURES_PER_CONNECTION_MAX)
        session.connection.close(CLOSE_POLICY, 'too many wrong tokens');
      return;
    }
    session.isAuthenticated = true;
    session.connection.limitIncoming(undefined);
  }
  session.client = request.client;
  responder.answer('welcome', {
    version: PROTOCOL_VERSION,
    broker: core.identity,
    limits: welcomeLimits(core),
    authenticated: session.isAuthenticated,
  });
}

async function subscribe(
  core: AcceptorCore,
  command: SubscribeCommand,
  responder: Responder,
): Promise<void> {
  const { session } = responder;
  if (session.subscriptions.size + session.subscribing >= SUBSCRIPTIONS_PER_CONNECTION_MAX) {
    throw new SluiceError(
      'LIMIT_REACHED',
      `the connection has ${SUBSCRIPTIONS_PER_CONNECTION_MAX} subscriptions, which is its limit`,
      { hint: 'Unsubscribe from something, or open another connection.' },
    );
  }
  session.subscribing += 1;
  try {
    // A filter that is wrong makes neither topic nor group.
    core.filters.ofSubscription(command.filter);
    const topic = await core.topics.require(command.topic);
    const group = await core.groups.require(command.group);
    const sink = { kind: responder.dialect, session } as const;
    const leaseMs = command.leaseMs ?? core.config.defaultLeaseMs;
    const request = { ...command, topic, group, leaseMs };
    const subscription = await core.subscriptions.open(request, sink);
    if (session.isClosed) {
      core.subscriptions.close(subscription);
      responder.dismiss();
      return;
    }
    session.subscriptions.add(subscription.number);
    if (session.overBudgetSinceMs !== undefined) core.deliveries.hold(subscription);
    responder.answer('subscribed', {
      subscription: subscription.number,
      group: group.group,
      topic: topic.topic,
    });
    core.subscriptions.activate(subscription);
  } finally {
    session.subscribing -= 1;
  }
}

function ownSubscription(core: AcceptorCore, session: Session, number: number): Subscription {
  const subscription = core.subscriptions.get(number);
  if (subscription !== undefined && session.subscriptions.has(number)) return subscription;
  throw new SluiceError('SUBSCRIPTION_NOT_FOUND', `this connection has no subscription ${number}`);
}

function settle(
  core: AcceptorCore,
  request: RequestOf<'ack' | 'nack' | 'extend'>,
  responder: Responder,
): void {
  core.settles.settleTokens(request.settle, undefined, (failure) => {
    if (failure === undefined) responder.answer('ok');
    else responder.refuse(failure);
  });
}

async function seek(core: AcceptorCore, command: SeekCommand, responder: Responder): Promise<void> {
  const topic = core.topics.existing(command.topic);
  const group = core.groups.existing(command.group);
  await core.offsets.reset(group, topic, command.to, false);
  responder.answer('ok');
}
