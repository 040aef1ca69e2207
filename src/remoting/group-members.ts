/**
 * Members of groups as RocketMQ's clients form them: told of each other, forgotten in time, shown to operators. Who is let in is
 * decided by the table of membership; here its word goes out.
 *
 * @source RocketMQ DefaultConsumerIdsChangeListener, ClientHousekeepingService
 */
import type { PullMember, PullMembers } from '../acceptor/pull-members.ts';
import type { Member } from '../membership/consumer-group.ts';
import { languageName } from '../protocol/remoting/command.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import type { RemotingConnection } from './remoting-connection.ts';
import type { RemotingContext } from './remoting-context.ts';

/** Milliseconds between looks for clients that have fallen silent. */
const EXPIRE_INTERVAL_MS = 10_000;

export class GroupMembers implements PullMembers {
  private readonly context: RemotingContext;

  constructor(context: RemotingContext) {
    this.context = context;
    context.core.pullMembers = this;
    context.onConnectionClosed((connection) => {
      context.clients.connectionClosed(connection);
      this.tellChanges();
    });
    this.expireLater();
  }

  has(group: string): boolean {
    return this.context.clients.hasConsumers(group);
  }

  describe(group: string): readonly PullMember[] {
    const found = this.context.clients.consumerGroup(group);
    if (found === undefined) return [];
    const members = found.members().map((one) => described(one, null));
    return [...members, ...found.waiting().map((one) => described(one, one.difference))];
  }

  /** Members of groups that have changed share the queues anew. */
  tellChanges(): void {
    const { clients, core } = this.context;
    for (const group of clients.takeChanged()) {
      const record = core.groups.records.find(group.name);
      if (group.isEmpty && record !== undefined) core.offsets.forgetResets(record.groupId);
      if (group.terms?.messageModel === 'BROADCASTING') continue;
      const fields = new Map([['consumerGroup', group.name]]);
      for (const { connection } of group.members())
        connection.tell({ code: REQUEST_CODES.NOTIFY_CONSUMER_IDS_CHANGED, fields });
    }
  }

  private expireLater(): void {
    const { clock, deadlines } = this.context.core;
    deadlines.add(clock.monotonicMs() + EXPIRE_INTERVAL_MS, () => {
      this.context.clients.expire(clock.monotonicMs());
      this.tellChanges();
      this.expireLater();
    });
  }
}

function described(member: Member<RemotingConnection>, difference: string | null): PullMember {
  const { clientId, connection, language, version, terms } = member;
  const subscriptions: Record<string, string> = Object.create(null);
  for (const { topic, expression } of terms.subscriptions.values())
    subscriptions[topic] = expression;
  const client = `${languageName(language)} ${version}`;
  return { clientId, address: connection.address, client, subscriptions, difference };
}
