/**
 * RocketMQ's clients as their heartbeats tell of them: consumers and producers by group, until they say goodbye, their
 * connection closes, or nothing was heard for two minutes. Pure: connections are only compared, time comes with each call.
 *
 * @source RocketMQ ConsumerManager, ProducerManager, ClientHousekeepingService
 */
import { SluiceError } from '../base/errors.ts';
import {
  CLIENT_SILENCE_MS_MAX,
  CLIENT_TERMS_CHARACTERS_MAX,
  CLIENTS_MAX,
  PRODUCER_GROUPS_MAX,
} from '../base/limits.ts';
import { type Client, ConsumerGroup, type Heard, type Member } from './consumer-group.ts';
import type { ConsumerTerms, TopicSubscription } from './consumer-terms.ts';

/** Who sent a heartbeat. */
export type ClientFacts<Connection> = Omit<Client<Connection>, 'heardAtMs'>;

/** Where a connection's client is: its id by group. */
type Places = { readonly consumers: Map<string, string>; readonly producers: Map<string, string> };

export class ClientTable<Connection> {
  private readonly consumers = new Map<string, ConsumerGroup<Connection>>();
  private readonly producers = new Map<string, Map<string, Client<Connection>>>();
  /** Groups of each connection and the client's id there, so that a pull finds its member and an end those it takes along. */
  private readonly byConnection = new Map<Connection, Places>();
  /** Groups that something has happened to since the last look. */
  private readonly touched = new Set<ConsumerGroup<Connection>>();
  private clientCount = 0;
  private termsCharacters = 0;

  /** Entries of clients in groups. */
  get count(): number {
    return this.clientCount;
  }

  /**
   * A consumer's heartbeat for one group.
   *
   * @throws LIMIT_REACHED
   */
  consumerHeard(
    facts: ClientFacts<Connection>,
    groupName: string,
    terms: ConsumerTerms,
    nowMs: number,
  ): Heard {
    const known = this.consumers.get(groupName);
    const before = known?.client(facts.clientId);
    if (before === undefined) this.checkRoom();
    this.checkTerms(terms, before);
    const group = known ?? new ConsumerGroup<Connection>(groupName);
    this.consumers.set(groupName, group);
    const { clientId, connection, language, version } = facts;
    // A connection is one client of a group: nobody would hear of the end of a second one.
    const former = this.byConnection.get(connection)?.consumers.get(groupName);
    if (former !== undefined && former !== clientId)
      this.consumerLeft(connection, former, groupName);
    const heard = group.heard({ clientId, connection, language, version, terms, heardAtMs: nowMs });
    this.termsCharacters += charactersOf(terms) - charactersOf(before?.terms);
    if (before === undefined) this.clientCount += 1;
    else if (before.connection !== connection) this.unlink('consumers', before, groupName);
    this.placesOf(connection).consumers.set(groupName, clientId);
    this.touched.add(group);
    return heard;
  }

  /** A producer's heartbeat for one group. @throws LIMIT_REACHED */
  producerHeard(facts: ClientFacts<Connection>, groupName: string, nowMs: number): void {
    const known = this.producers.get(groupName);
    if (known === undefined && this.producers.size >= PRODUCER_GROUPS_MAX)
      throw limitReached(`${PRODUCER_GROUPS_MAX} producer groups`);
    const group = known ?? new Map<string, Client<Connection>>();
    const before = group.get(facts.clientId);
    if (before === undefined) {
      this.checkRoom();
      this.clientCount += 1;
    } else if (before.connection !== facts.connection) this.unlink('producers', before, groupName);
    const { clientId, connection, language, version } = facts;
    const former = this.byConnection.get(connection)?.producers.get(groupName);
    if (former !== undefined && former !== clientId)
      this.producerLeft(connection, former, groupName);
    this.producers.set(groupName, group);
    group.set(clientId, { clientId, connection, language, version, heardAtMs: nowMs });
    this.placesOf(connection).producers.set(groupName, clientId);
  }

  /** The client says goodbye to a consumer group. Another connection's client of that id stays. */
  consumerLeft(connection: Connection, clientId: string, groupName: string): void {
    const group = this.consumers.get(groupName);
    const client = group?.client(clientId);
    if (group === undefined || client?.connection !== connection) return;
    group.leave(clientId);
    this.termsCharacters -= charactersOf(client.terms);
    this.touched.add(group);
    this.clientCount -= 1;
    this.unlink('consumers', client, groupName);
  }

  producerLeft(connection: Connection, clientId: string, groupName: string): void {
    const group = this.producers.get(groupName);
    const client = group?.get(clientId);
    if (group === undefined || client?.connection !== connection) return;
    group.delete(clientId);
    this.clientCount -= 1;
    if (group.size === 0) this.producers.delete(groupName);
    this.unlink('producers', client, groupName);
  }

  connectionClosed(connection: Connection): void {
    const places = this.byConnection.get(connection);
    if (places === undefined) return;
    for (const [group, clientId] of [...places.consumers])
      this.consumerLeft(connection, clientId, group);
    for (const [group, clientId] of [...places.producers])
      this.producerLeft(connection, clientId, group);
    this.byConnection.delete(connection);
  }

  /** Forgets whom nothing was heard of. Called every few seconds: looks at everybody. */
  expire(nowMs: number): void {
    const isSilent = ({ heardAtMs }: Client<Connection>): boolean =>
      nowMs - heardAtMs > CLIENT_SILENCE_MS_MAX;
    for (const group of [...this.consumers.values()])
      for (const { connection, clientId } of [...group.members(), ...group.waiting()].filter(
        isSilent,
      ))
        this.consumerLeft(connection, clientId, group.name);
    for (const [name, group] of [...this.producers])
      for (const { connection, clientId } of [...group.values()].filter(isSilent))
        this.producerLeft(connection, clientId, name);
  }

  /** Groups whose list of members, or what they read, has changed since this was asked last. */
  takeChanged(): readonly ConsumerGroup<Connection>[] {
    const changed = [...this.touched].filter((group) => group.takeChange());
    for (const group of this.touched)
      if (group.isEmpty && this.consumers.get(group.name) === group)
        this.consumers.delete(group.name);
    this.touched.clear();
    return changed;
  }

  consumerGroup(name: string): ConsumerGroup<Connection> | undefined {
    const group = this.consumers.get(name);
    return group?.isEmpty === true ? undefined : group;
  }

  consumerGroups(): Iterable<ConsumerGroup<Connection>> {
    return this.consumers.values();
  }

  /** Is anybody consuming for this group, or waiting to? */
  hasConsumers(group: string): boolean {
    return this.consumerGroup(group) !== undefined;
  }

  /** The client that a connection is in a group, let in or not. */
  clientOf(connection: Connection, group: string): Member<Connection> | undefined {
    const clientId = this.byConnection.get(connection)?.consumers.get(group);
    return clientId === undefined ? undefined : this.consumers.get(group)?.client(clientId);
  }

  /** What the member at the other end of a connection reads of a topic; undefined when it is none, or was refused. */
  subscriptionOf(
    connection: Connection,
    group: string,
    topic: string,
  ): TopicSubscription | undefined {
    const clientId = this.byConnection.get(connection)?.consumers.get(group);
    if (clientId === undefined) return undefined;
    return this.consumers.get(group)?.member(clientId)?.terms.subscriptions.get(topic);
  }

  /** A producer with this client id, whatever its group: all its groups are on one connection. */
  producerWithId(clientId: string): Client<Connection> | undefined {
    for (const group of this.producers.values()) {
      const found = group.get(clientId);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Producers of a group, in the order of their ids. */
  producersOf(group: string): readonly Client<Connection>[] {
    return [...(this.producers.get(group)?.values() ?? [])].sort((one, other) =>
      one.clientId < other.clientId ? -1 : 1,
    );
  }

  producerGroups(): Iterable<string> {
    return this.producers.keys();
  }

  private placesOf(connection: Connection): Places {
    const places = this.byConnection.get(connection) ?? {
      consumers: new Map<string, string>(),
      producers: new Map<string, string>(),
    };
    this.byConnection.set(connection, places);
    return places;
  }

  private unlink(
    kind: keyof Places,
    { connection, clientId }: Client<Connection>,
    groupName: string,
  ): void {
    const places = this.byConnection.get(connection);
    if (places?.[kind].get(groupName) !== clientId) return;
    places[kind].delete(groupName);
    if (places.consumers.size + places.producers.size === 0) this.byConnection.delete(connection);
  }

  private checkTerms(terms: ConsumerTerms, before: Member<Connection> | undefined): void {
    const characters = this.termsCharacters + charactersOf(terms) - charactersOf(before?.terms);
    if (characters > CLIENT_TERMS_CHARACTERS_MAX)
      throw limitReached(`subscriptions of ${CLIENT_TERMS_CHARACTERS_MAX} characters`);
  }

  private checkRoom(): void {
    if (this.clientCount >= CLIENTS_MAX) throw limitReached(`${CLIENTS_MAX} clients in groups`);
  }
}

function charactersOf(terms: ConsumerTerms | undefined): number {
  let characters = 0;
  for (const { topic, expression } of terms?.subscriptions.values() ?? [])
    characters += topic.length + expression.length;
  return characters;
}

function limitReached(what: string): SluiceError {
  return new SluiceError('LIMIT_REACHED', `the broker knows ${what}, which is its limit`);
}
