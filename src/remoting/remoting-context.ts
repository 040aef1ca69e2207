/**
 * What handlers of RocketMQ's requests work with. A family of requests is a file that exports a HandlerFamily: a function from
 * this context to a table `request code → handler`, listed in remoting-handlers.ts. A handler decodes, calls the core that every
 * dialect shares (`core`: topics, groups, sends, fetches, links to shards), and answers its request, at once or later. No
 * behaviour of the broker lives in this folder.
 *
 * - `request.fields` and `request.body` are borrowed: read them before the first `await`.
 * - What a handler throws, or rejects with, is answered with RocketMQ's code for it (remoting-refusal.ts).
 * - Files that keep something for a connection hear of its end by `onConnectionClosed`.
 * - What other folders decide and answers depend on comes in as hooks, one type each; a hook that is not set is not there.
 */
import type { AcceptorCore } from '../acceptor/acceptor-core.ts';
import { ClientTable } from '../membership/client-table.ts';
import type { HostBytes } from '../protocol/remoting/host-bytes.ts';
import type { TopicRecord } from '../protocol/shard-control.ts';
import type { AdminFacts } from './admin-facts.ts';
import { HalfSenders } from './half-senders.ts';
import { offsetIdPrefix, offsetMessageId } from './message-ids.ts';
import type { RemotingConnection } from './remoting-connection.ts';
import type { RemotingAnswer, RemotingRequest } from './remoting-request.ts';
import type { SendHead } from './send-head.ts';
import { StoredMessages } from './stored-messages.ts';

/** Answers one request, at once or later. What it throws or rejects with refuses the request. */
export type RemotingHandler = (request: RemotingRequest) => void | Promise<void>;

/** Request code and handler. */
export type HandlerTable = readonly (readonly [number, RemotingHandler])[];

/** What a file of handlers exports: called once for each port, so that it may keep state and set hooks. */
export type HandlerFamily = (context: RemotingContext) => HandlerTable;

/** Which broker this is, as its messages and answers say it. */
export type RemotingIdentity = {
  readonly clusterName: string;
  readonly brokerName: string;
  /** Address of this port as clients reach it: in every message, and in the ids by which it is looked up. */
  readonly storeHost: HostBytes;
};

/** What a consumer has subscribed to, as its last heartbeat said. */
export type HeardSubscription = {
  /** TAG or SQL92. */
  readonly expressionType: string;
  readonly expression: string;
  /** Grows with each change that the client makes. */
  readonly version: number;
};

/** One queue that somebody pulls from for a group. */
export type PulledQueue = {
  readonly connection: RemotingConnection;
  readonly group: string;
  readonly topic: TopicRecord;
  readonly queueId: number;
};

/** A send that became another one. */
export type DeadLetterSend = { readonly topic: TopicRecord; readonly head: SendHead };

/** What is known of consumer groups that RocketMQ's clients form. */
export interface GroupHooks {
  /** undefined: this client is no member of the group, or reads another topic. */
  subscription(
    connection: RemotingConnection,
    group: string,
    topic: string,
  ): HeardSubscription | undefined;
  /** The answer to a pull that may not go on; undefined: it may. Once per pull. @param offset - that is pulled */
  pullRefusal(queue: PulledQueue, offset: number): RemotingAnswer | undefined;
  /**
   * A consumer sends a message to its group again by itself. When it has come often enough it is stored as this dead letter
   * instead; undefined: it is an ordinary send.
   */
  deadLetterOf(head: SendHead, version: number): Promise<DeadLetterSend> | undefined;
  /** Keeps the offset that a pull brought. Must not throw; whoever pulls does not wait for it. */
  commitOffset(queue: PulledQueue, offset: number): void;
}

export type RemotingContextParts = {
  readonly core: AcceptorCore;
  readonly identity: RemotingIdentity;
  /** Does this broker follow a master? */
  readonly facts: AdminFacts;
  readonly isSlave: () => boolean;
  readonly autoCreateTopics: boolean;
  /** Are clients that lag told to pull from a slave? */
  readonly sendsToSlaves: boolean;
  /** Queues of a topic that comes into being with a message, at most. */
  readonly defaultTopicQueues: number;
};

export class RemotingContext {
  readonly core: AcceptorCore;
  readonly identity: RemotingIdentity;
  readonly facts: AdminFacts;
  readonly isSlave: () => boolean;
  readonly autoCreateTopics: boolean;
  readonly sendsToSlaves: boolean;
  readonly defaultTopicQueues: number;
  /** Who is at the other end of connections, as heartbeats tell. */
  readonly clients: ClientTable<RemotingConnection> = new ClientTable();
  /** Who has sent half messages, as far as no heartbeat has told. */
  readonly halfSenders: HalfSenders = new HalfSenders();
  /** Renders stored batches as RocketMQ's messages. */
  readonly messages: StoredMessages;
  private readonly idPrefix: string;
  /** Set by who keeps groups; undefined: nobody does, and pulls must bring their subscription. */
  groups: GroupHooks | undefined;
  /** Set by who knows access rights: may a client be shown a message of this topic to be asked about it? */
  mayBeAsked: (connection: RemotingConnection, topic: string) => boolean = () => true;
  private readonly closeActions: ((connection: RemotingConnection) => void)[] = [];

  constructor(parts: RemotingContextParts) {
    this.core = parts.core;
    this.identity = parts.identity;
    this.facts = parts.facts;
    this.isSlave = parts.isSlave;
    this.autoCreateTopics = parts.autoCreateTopics;
    this.sendsToSlaves = parts.sendsToSlaves;
    this.defaultTopicQueues = parts.defaultTopicQueues;
    this.messages = new StoredMessages(parts.identity.storeHost);
    this.idPrefix = offsetIdPrefix(parts.identity.storeHost);
  }

  /** The id by which this broker finds a message. @param place - position of the batch, plus index of the record in it */
  offsetMessageId(shard: number, place: number): string {
    return offsetMessageId(this.idPrefix, shard, place);
  }

  /** Calls `action` after each connection that has ended. */
  onConnectionClosed(action: (connection: RemotingConnection) => void): void {
    this.closeActions.push(action);
  }

  /** Tells everybody who asked for it. */
  connectionClosed(connection: RemotingConnection): void {
    for (const action of this.closeActions) action(connection);
  }
}
