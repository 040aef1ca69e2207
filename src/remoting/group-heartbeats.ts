/**
 * HEART_BEAT, UNREGISTER_CLIENT, CHECK_CLIENT_CONFIG: clients say who they are, what they produce and what they read. A group
 * whose member reads something else than the others refuses it, and the heartbeat says so; what else was in it counts.
 *
 * @source RocketMQ ClientManageProcessor
 */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { CLIENT_ID_MAX, REGISTERED_NAME_MAX } from '../base/limits.ts';
import { CompiledFilters } from '../filter/compiled-filters.ts';
import type { ClientFacts } from '../membership/client-table.ts';
import {
  type ConsumerData,
  decodeCheckClient,
  decodeHeartbeat,
} from '../protocol/remoting/heartbeat-codec.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { GroupMembers } from './group-members.ts';
import { checkPullable, groupOf } from './group-records.ts';
import type { RemotingConnection } from './remoting-connection.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import type { RemotingRequest } from './remoting-request.ts';

type Facts = ClientFacts<RemotingConnection>;

class Heartbeats {
  private readonly context: RemotingContext;
  private readonly members: GroupMembers;

  constructor(context: RemotingContext, members: GroupMembers) {
    this.context = context;
    this.members = members;
  }

  readonly heartbeat = async (request: RemotingRequest): Promise<void> => {
    const decoded = decodeHeartbeat(request.body);
    if ('refusal' in decoded) throw decoded.refusal;
    const { connection, language, version } = request;
    const { clientId, producerGroups, consumers } = decoded.value;
    const facts = { clientId, connection, language, version };
    const { clients, core } = this.context;
    let refusal: SluiceError | undefined;
    for (const group of producerGroups) {
      try {
        clients.producerHeard(facts, group, core.clock.monotonicMs());
      } catch (error) {
        refusal ??= toSluiceError(error);
      }
    }
    for (const consumer of consumers) {
      try {
        await this.consumer(facts, consumer);
      } catch (error) {
        // One group's trouble is not the others'.
        refusal ??= toSluiceError(error);
      }
    }
    this.members.tellChanges();
    if (refusal === undefined) request.answer({});
    else request.refuse(refusal);
  };

  readonly unregister = (request: RemotingRequest): void => {
    const fields = request.checkedFields();
    const clientId = fields.text('clientID', CLIENT_ID_MAX);
    const producerGroup = fields.optionalText('producerGroup', REGISTERED_NAME_MAX);
    const consumerGroup = fields.optionalText('consumerGroup', REGISTERED_NAME_MAX);
    const { connection } = request;
    const { clients } = this.context;
    if (producerGroup !== undefined) clients.producerLeft(connection, clientId, producerGroup);
    if (consumerGroup !== undefined) clients.consumerLeft(connection, clientId, consumerGroup);
    this.members.tellChanges();
    request.answer({});
  };

  /** @throws SUBSCRIPTION_MISMATCH, GROUP_IN_USE, GROUP_NOT_FOUND, INVALID_NAME, LIMIT_REACHED, what a shard answers */
  private async consumer(facts: Facts, consumer: ConsumerData): Promise<void> {
    const { context } = this;
    const { clients, core } = context;
    const { group: name, consumeType, messageModel, fromWhere, subscriptions } = consumer;
    // A slave has the groups of its master, and who consumes from it has been made known there.
    if (!context.isSlave()) {
      const group = await groupOf(context, name);
      checkPullable(context, group);
      await core.topics.createRetry(group);
      checkPullable(context, group);
    }
    // It may have gone while its group came into being.
    if (facts.connection.isClosed) return;
    const table = new Map(subscriptions.map((one) => [one.topic, one]));
    const terms = { consumeType, messageModel, fromWhere, subscriptions: table };
    const heard = clients.consumerHeard(facts, name, terms, core.clock.monotonicMs());
    if (heard.difference === undefined) return;
    const { clientId, connection } = facts;
    if (heard.isNews)
      core.log.warn('member-refused', {
        ...{ group: name, clientId, address: connection.address },
        difference: heard.difference,
      });
    throw new SluiceError('SUBSCRIPTION_MISMATCH', `group ${name}: ${heard.difference}`, {
      hint: 'Members of a group must read the same: this one waits until the last of the others has gone or reads the same; or use another group.',
    });
  }
}

/** What clients say about themselves. */
export function heartbeatHandlers(context: RemotingContext, members: GroupMembers): HandlerTable {
  const { heartbeat, unregister } = new Heartbeats(context, members);
  const filters = new CompiledFilters();
  return [
    [REQUEST_CODES.HEART_BEAT, heartbeat],
    [REQUEST_CODES.UNREGISTER_CLIENT, unregister],
    [REQUEST_CODES.CHECK_CLIENT_CONFIG, (request) => checkClient(filters, request)],
  ];
}

/** A consumer asks at its start whether its expression can be served. */
function checkClient(filters: CompiledFilters, request: RemotingRequest): void {
  const decoded = decodeCheckClient(request.body);
  if ('refusal' in decoded) throw decoded.refusal;
  const { expressionType, expression } = decoded.value.subscription;
  try {
    filters.compile(expressionType, expression);
  } catch (error) {
    const { message, hint } = toSluiceError(error);
    const remark = `${message}\n${hint}`;
    request.answer({ code: RESPONSE_CODES.SUBSCRIPTION_PARSE_FAILED, remark });
    return;
  }
  request.answer({});
}
