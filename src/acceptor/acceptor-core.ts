/**
 * The parts that every way into the broker shares, wired together once. Ways in (WebSocket frames, HTTP) decode to calls
 * of these; nothing here knows which one called.
 */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log-sink.ts';
import { CompiledFilters } from '../filter/compiled-filters.ts';
import { messageIdPrefix } from '../protocol/message-id.ts';
import type { ShardEvent } from '../protocol/shard-control.ts';
import type { BrokerIdentity } from '../protocol/web/messages.ts';
import { OriginPolicy } from '../transport/origin-policy.ts';
import { AcceptorCounters } from './acceptor-counters.ts';
import type { AcceptorConfig, AcceptorOptions } from './acceptor-options.ts';
import { AuthGuard } from './auth-guard.ts';
import { BackPressure } from './back-pressure.ts';
import { ColdReads } from './cold-reads.ts';
import { ColdShare } from './cold-share.ts';
import { ColdTroubles } from './cold-troubles.ts';
import { Deadlines } from './deadlines.ts';
import { Delayed } from './delayed.ts';
import { Delays } from './delays.ts';
import { Deliveries } from './deliveries.ts';
import { FetchPath } from './fetch-path.ts';
import { GroupRecords } from './group-records.ts';
import { HandOver } from './hand-over.ts';
import { HttpPolls } from './http-polls.ts';
import { MessageFrames } from './message-frames.ts';
import { MessageRates } from './message-rates.ts';
import { OffsetBook } from './offset-book.ts';
import { PendingRequests } from './pending-requests.ts';
import { NO_PULL_MEMBERS, type PullMembers, pushRefusal } from './pull-members.ts';
import { ReplyDrain } from './reply-drain.ts';
import { ReplyOutbox } from './reply-outbox.ts';
import { SendPath } from './send-path.ts';
import { AddressRates } from './send-rate.ts';
import { SessionChecker } from './session-checker.ts';
import { SessionTable } from './session-table.ts';
import { SettlePath } from './settle-path.ts';
import { ShardLinks } from './shard-links.ts';
import { Subscriptions } from './subscriptions.ts';
import { TopicRegistry } from './topic-registry.ts';
import { Transactions } from './transactions.ts';

export class AcceptorCore {
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: AcceptorConfig;
  readonly counters: AcceptorCounters = new AcceptorCounters();
  readonly rates: MessageRates;
  readonly filters: CompiledFilters = new CompiledFilters();
  readonly pending: PendingRequests = new PendingRequests();
  readonly deadlines: Deadlines = new Deadlines();
  readonly links: ShardLinks;
  readonly topics: TopicRegistry;
  readonly groups: GroupRecords;
  readonly sessions: SessionTable;
  readonly outbox: ReplyOutbox;
  readonly backPressure: BackPressure;
  readonly subscriptions: Subscriptions;
  readonly deliveries: Deliveries;
  readonly replies: ReplyDrain;
  readonly delays: Delays;
  readonly delayed: Delayed;
  readonly transactions: Transactions;
  readonly sessionChecker: SessionChecker;
  readonly sends: SendPath;
  readonly settles: SettlePath;
  readonly fetches: FetchPath;
  readonly polls: HttpPolls;
  readonly auth: AuthGuard;
  /** Of HTTP sends. */
  readonly addressRates: AddressRates;
  readonly origins: OriginPolicy;
  readonly coldReads: ColdReads;
  readonly offsets: OffsetBook;
  /** Set by who speaks their protocol. */
  pullMembers: PullMembers = NO_PULL_MEMBERS;
  isDraining = false;
  /** Resolves when those who give out routes know of every change of topics until now. */
  announced: () => Promise<void> = () => Promise.resolve();
  private identityNow: BrokerIdentity = { name: '', address: '0.0.0.0', port: 0 };
  private prefix: string = messageIdPrefix('0.0.0.0', 0);

  /** @param onEvent - told what shards report */
  constructor(options: AcceptorOptions, onEvent: (shard: number, event: ShardEvent) => void) {
    const { clock, log, config } = options;
    this.clock = clock;
    this.log = log;
    this.config = config;
    const prefix = (): string => this.prefix;
    this.links = new ShardLinks(options.shards, this.pending, clock);
    this.topics = new TopicRegistry(config, this.links);
    this.groups = new GroupRecords(config, this.links);
    this.rates = new MessageRates(clock, this.deadlines);
    this.sessions = new SessionTable(config, clock);
    this.auth = new AuthGuard(config.authToken, clock);
    this.addressRates = new AddressRates(config);
    this.origins = new OriginPolicy(config.allowedOrigins, config.allowedHosts);
    this.subscriptions = new Subscriptions(
      ...([this.links, this.filters, this.rates, log] as const),
      (subscription) => this.deliveries.dropAll(subscription),
      (group) => pushRefusal(this.pullMembers, group),
    );
    this.offsets = new OffsetBook({
      ...{ clock, log, links: this.links, deadlines: this.deadlines },
      hasPullers: (group) => this.pullMembers.has(group.group),
    });
    this.backPressure = new BackPressure(clock, this.counters, {
      hold: (session) => {
        for (const subscription of this.subscriptions.of(session))
          this.deliveries.hold(subscription);
      },
      release: (session) => {
        for (const subscription of this.subscriptions.of(session))
          this.deliveries.release(subscription);
      },
    });
    this.outbox = new ReplyOutbox((session) => this.backPressure.afterSend(session));
    const share = new ColdShare(clock, () => this.counters.bytesIn);
    this.coldReads = new ColdReads(options.readCold, this.counters, share);
    this.replies = new ReplyDrain(this, onEvent, options.masterText ?? (() => undefined));
    const handOver = new HandOver({
      clock,
      links: this.links,
      frames: new MessageFrames(prefix),
      counters: this.counters,
      rates: this.rates,
      wrote: (session, bytes) => this.replies.wrote(session, bytes),
    });
    this.deliveries = new Deliveries({
      ...{ clock, log, links: this.links, deadlines: this.deadlines },
      ...{ coldReads: this.coldReads, handOver },
      troubles: new ColdTroubles(clock, log, this.deadlines),
    });
    this.delays = new Delays(clock, config.delayMsMax, config.delayLevelsMs);
    this.delayed = new Delayed(this.links, this.topics, prefix);
    const { readCold } = options;
    const timeoutMs = config.transactionTimeoutMs;
    this.transactions = new Transactions(
      { clock, log, links: this.links, topics: this.topics, readCold, timeoutMs },
      prefix,
    );
    this.sessionChecker = new SessionChecker(this.outbox);
    this.transactions.addChecker(this.sessionChecker);
    this.sends = new SendPath(this, prefix);
    this.settles = new SettlePath(clock, this.links, this.topics, this.groups, this.pending);
    this.fetches = new FetchPath(clock, this.links, this.pending, this.coldReads, prefix);
    this.polls = new HttpPolls(this);
  }

  get identity(): BrokerIdentity {
    return this.identityNow;
  }

  /** Which broker this is: known once its port is bound. */
  setIdentity(identity: BrokerIdentity): void {
    this.identityNow = identity;
    this.prefix = messageIdPrefix(identity.address, identity.port);
  }
}
