/**
 * What producers and consumers live on: the link to one broker, or the links to those of a cluster. They see links that come
 * up and go down, and which of them have a topic. Browser-safe.
 */
import type { SluiceError } from '../base/errors.ts';
import type { AnyAnswer } from './answers.ts';
import type { Connection } from './connection.ts';
import type { Link } from './link.ts';
import type { ClientRuntime, PendingWork } from './runtime.ts';
import type { StatusEvent } from './types.ts';

/** Somebody who lives on the links: producers, consumers. */
export interface LinkMember {
  /** A connection can be used, until `down`. */
  up(connection: Connection, link: Link): void;
  /** It is lost: nothing that was sent on it will be answered any more. */
  down(error: SluiceError, link: Link): void;
  /** Answers were worked off: windows may have room again. */
  progress(link: Link): void;
  /** All is closed for good. */
  closed(error: SluiceError): void;
  /** The broker asks what became of a transaction. */
  asked?(question: AnyAnswer, link: Link): void;
  /** Other brokers have the topic than before; in a cluster only. */
  routeChanged?(topic: string): void;
  /** No broker has the topic, and none makes it. */
  routeMissing?(topic: string, error: SluiceError): void;
}

/** A broker that has a topic. */
export type TopicBroker = {
  readonly link: Link;
  /** Queues of the topic there; undefined: its broker says so. */
  readonly queues: number | undefined;
};

/** What holds for all links. */
export type ReachOptions = {
  readonly token: string | undefined;
  readonly name: string | undefined;
  readonly requestTimeoutMs: number;
  readonly onStatus: (event: StatusEvent) => void;
};

export interface Reach {
  readonly runtime: ClientRuntime;
  readonly options: ReachOptions;
  readonly work: PendingWork;
  /** The error with which all was closed. */
  readonly closedBy: SluiceError | undefined;
  /** Is it one broker, whatever its name and addresses? */
  readonly isSingle: boolean;
  /** Is there a connection at this moment? */
  readonly isConnected: boolean;
  /** The server that is connected to, or was tried last. */
  readonly server: string;
  /** Starts connecting, and goes on for ever. */
  start(): void;
  /** Tries everything once. @throws what the last one answered; all is closed then */
  startOnce(): Promise<void>;
  close(error: SluiceError, byUser: boolean): void;
  /** What somebody is told who comes after `close`. */
  closedError(): SluiceError;
  /** The member hears of all links, those of later included. */
  addMember(member: LinkMember): void;
  removeMember(member: LinkMember): void;
  /** Brokers that take messages of the topic, in an order that is the same for every client; undefined: not known yet, `routeChanged` follows. */
  writersOf(topic: string): readonly TopicBroker[] | undefined;
  /** Brokers from which the topic is consumed; undefined: as above. */
  readersOf(topic: string): readonly TopicBroker[] | undefined;
  /** Brokers that have the topic, or would make it. @throws TOPIC_NOT_FOUND, TIMEOUT, CLOSED */
  brokersOf(topic: string, timeoutMs: number | undefined): Promise<readonly Link[]>;
  /** All masters. @throws DISCONNECTED, TIMEOUT, CLOSED */
  masters(): Promise<readonly Link[]>;
  /** A broker refused what a route had promised: the route is looked at again. */
  routeIsWrong(topic: string): void;
}
