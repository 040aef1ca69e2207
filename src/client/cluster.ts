/**
 * The links to the brokers of a cluster: one to each that has a topic in use, found by NameServers. Members see all of
 * them. A link stays while its broker counts, connected or not, and follows it to other addresses. Browser-safe.
 */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import type { Connection } from './connection.ts';
import { Link, type LinkOptions } from './link.ts';
import { NameServers } from './name-servers.ts';
import type { LinkMember, Reach, TopicBroker } from './reach.ts';
import { type KnownBroker, type KnownMember, RouteBook } from './route-book.ts';
import { type ClientRuntime, PendingWork } from './runtime.ts';
import { reachableAddresses, webSocketUrls } from './servers.ts';
import type { StatusEvent } from './types.ts';
import { waitLimits } from './waiting-send.ts';

export type ClusterOptions = Omit<LinkOptions, 'servers' | 'broker'> & {
  /** Base URLs. */
  readonly nameServers: readonly string[];
  readonly routeRefreshMs: number;
};

export class Cluster implements Reach {
  readonly runtime: ClientRuntime;
  readonly options: ClusterOptions;
  readonly work: PendingWork;
  readonly isSingle = false;
  closedBy: SluiceError | undefined;
  private readonly nameServers: NameServers;
  private readonly book: RouteBook;
  /** By broker name and id. */
  private readonly links: Map<string, Link> = new Map();
  private readonly members: Set<LinkMember> = new Set();
  /** Topics whose members want to hear of the next look, whatever it shows. */
  private readonly doubted: Set<string> = new Set();
  /** Masters that were asked for without a topic. */
  private readonly held: Set<string> = new Set();

  constructor(runtime: ClientRuntime, options: ClusterOptions) {
    this.runtime = runtime;
    this.options = options;
    this.work = new PendingWork(runtime.keepAlive);
    const { nameServers, connectTimeoutMs } = options;
    this.nameServers = new NameServers(runtime, nameServers, connectTimeoutMs);
    this.book = new RouteBook({
      runtime,
      nameServers: this.nameServers,
      refreshMs: options.routeRefreshMs,
      onChanged: (topic) => this.tell((member) => member.routeChanged?.(topic)),
      onMissing: (topic, error) => this.tell((member) => member.routeMissing?.(topic, error)),
      onFailed: (error) => options.onStatus({ type: 'route-failed', error }),
      onLooked: () => this.looked(),
    });
  }

  get isConnected(): boolean {
    return [...this.links.values()].some((link) => link.connection !== undefined);
  }

  get server(): string {
    const [connected] = [...this.links.values()].filter((link) => link.connection !== undefined);
    return connected?.server ?? this.nameServers.url;
  }

  start(): void {
    // Links come with the first topics.
  }

  async startOnce(): Promise<void> {
    this.work.begin();
    try {
      await this.nameServers.cluster();
    } catch (error) {
      this.close(toSluiceError(error), false);
    } finally {
      this.work.end();
    }
    if (this.closedBy !== undefined) throw this.closedBy;
  }

  addMember(member: LinkMember): void {
    this.members.add(member);
    for (const link of this.links.values())
      if (link.connection !== undefined) member.up(link.connection, link);
  }

  removeMember(member: LinkMember): void {
    this.members.delete(member);
  }

  closedError(): SluiceError {
    const cause = this.closedBy;
    return new SluiceError('CLOSED', 'the client is closed', cause === undefined ? {} : { cause });
  }

  close(error: SluiceError, byUser: boolean): void {
    if (this.closedBy !== undefined) return;
    this.closedBy = error;
    this.book.close(error);
    for (const link of this.links.values()) link.close(error, true);
    this.tell((member) => member.closed(error));
    this.members.clear();
    this.options.onStatus({ type: 'closed', error: byUser ? undefined : error });
  }

  writersOf(topic: string): readonly TopicBroker[] | undefined {
    return this.topicBrokers(topic, ({ mayWrite, writer }) => (mayWrite ? writer : undefined));
  }

  readersOf(topic: string): readonly TopicBroker[] | undefined {
    return this.topicBrokers(topic, ({ mayRead, reader }) => (mayRead ? reader : undefined));
  }

  async brokersOf(topic: string, timeoutMs: number | undefined): Promise<readonly Link[]> {
    await this.inTime(this.book.known(topic), `the route of ${topic}`, timeoutMs);
    return (this.writersOf(topic) ?? []).map(({ link }) => link);
  }

  async masters(): Promise<readonly Link[]> {
    const { value, url } = await this.nameServers.cluster();
    if (this.closedBy !== undefined) throw this.closedError();
    return value.flatMap(({ brokerName, members }) => {
      const master = members.find(({ brokerId }) => brokerId === 0);
      if (master === undefined || master.webSocketAddrs.length === 0) return [];
      this.held.add(`${brokerName}|0`);
      return [this.linkOf(brokerName, { member: master, url })];
    });
  }

  routeIsWrong(topic: string): void {
    this.doubted.add(topic);
    this.book.lookSoon();
  }

  private topicBrokers(
    topic: string,
    pick: (broker: KnownBroker) => KnownMember | undefined,
  ): readonly TopicBroker[] | undefined {
    if (this.closedBy !== undefined) return undefined;
    const brokers = this.book.brokersOf(topic);
    return brokers?.flatMap((broker) => {
      const member = pick(broker);
      const { brokerName, queues } = broker;
      return member === undefined ? [] : [{ link: this.linkOf(brokerName, member), queues }];
    });
  }

  private linkOf(brokerName: string, { member, url }: KnownMember): Link {
    const key = `${brokerName}|${member.brokerId}`;
    const servers = webSocketUrls(reachableAddresses(member.webSocketAddrs, url));
    const known = this.links.get(key);
    if (known !== undefined) {
      known.moveTo(servers);
      return known;
    }
    const options = { ...this.options, servers, broker: brokerName, onStatus: this.onStatus };
    const link: Link = new Link(this.runtime, options, this.work);
    this.links.set(key, link);
    link.addMember({
      up: (connection: Connection) => this.tell((one) => one.up(connection, link)),
      down: (error) => {
        this.tell((one) => one.down(error, link));
        this.book.lookSoon();
      },
      progress: () => this.tell((one) => one.progress(link)),
      closed: (error) => this.linkClosed(key, link, error),
    });
    link.start();
    return link;
  }

  /** A link ends by itself only when its broker refuses this client for good. */
  private linkClosed(key: string, link: Link, error: SluiceError): void {
    this.links.delete(key);
    if (this.closedBy !== undefined) return;
    if (error.code === 'CLOSED') this.tell((member) => member.down(error, link));
    else this.close(error, false);
  }

  private looked(): void {
    this.retire();
    const topics = [...this.doubted];
    this.doubted.clear();
    for (const topic of topics) this.tell((member) => member.routeChanged?.(topic));
  }

  /** Ends the links to brokers that count for no topic any more. */
  private retire(): void {
    const used = new Set(this.held);
    for (const { brokerName, writer, reader } of this.book.allBrokers())
      for (const known of [writer, reader])
        if (known !== undefined) used.add(`${brokerName}|${known.member.brokerId}`);
    for (const [key, link] of [...this.links])
      if (!used.has(key))
        link.close(new SluiceError('CLOSED', `the broker ${key} has left the cluster`), true);
  }

  private readonly onStatus = (event: StatusEvent): void => {
    // The end of one link is not that of the client.
    if (event.type !== 'closed') this.options.onStatus(event);
    if (event.type === 'reconnecting') this.book.lookSoon();
  };

  private tell(say: (member: LinkMember) => void): void {
    for (const member of [...this.members]) say(member);
  }

  private async inTime(
    promise: Promise<void>,
    what: string,
    timeoutMs: number = this.options.requestTimeoutMs,
  ): Promise<void> {
    if (this.closedBy !== undefined) throw this.closedError();
    this.work.begin();
    try {
      await new Promise<void>((resolve, reject) => {
        const cancel = waitLimits(
          { timeoutMs },
          this.runtime.startTimer,
          () => new SluiceError('TIMEOUT', `${what}: no answer within ${timeoutMs} ms`),
          reject,
        );
        promise.then(resolve, reject).finally(cancel);
      });
    } finally {
      this.work.end();
    }
  }
}
