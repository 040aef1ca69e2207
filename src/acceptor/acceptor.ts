/**
 * The front of the broker: takes WebSocket connections and HTTP requests, hands requests to shards, and their replies
 * back. Main thread; never blocks; does its work in callbacks of the front door and in `doWork`, which also keeps its time.
 */
import { SluiceError } from '../base/errors.ts';
import { UNAUTHENTICATED_BYTES_MAX } from '../base/limits.ts';
import type { MetricSnapshot } from '../observe/metrics-text.ts';
import type { ShardControlRequest, ShardMetadata, TopicRecord } from '../protocol/shard-control.ts';
import { refusalResponse } from '../protocol/web/http-codec.ts';
import type { BrokerIdentity } from '../protocol/web/messages.ts';
import type {
  BodyAnnouncement,
  HttpRequest,
  HttpResponse,
  WebSocketConnection,
  WebSocketHandler,
} from '../transport/transport.ts';
import { AcceptorCore } from './acceptor-core.ts';
import { acceptorMetrics, groupMetrics } from './acceptor-metrics.ts';
import type { AcceptorOptions } from './acceptor-options.ts';
import { bearerToken } from './auth-guard.ts';
import { adminRoutes } from './http-admin.ts';
import { HttpFront } from './http-front.ts';
import { messageRoutes } from './http-messages.ts';
import { HttpRoutes } from './http-routes.ts';
import { refusalBody } from './responder.ts';
import { CLOSE_GOING_AWAY } from './session.ts';
import { ShardLifecycle } from './shard-lifecycle.ts';
import type { ShardLink } from './shard-link.ts';
import type { ShardPort } from './shard-port.ts';
import { WebSocketFront } from './web-socket-front.ts';

/** Milliseconds between looks at deadlines that need no precision. */
const UPKEEP_MS = 500;
/** Milliseconds between looks at a request ring that something waits for: its draining is announced by nobody. */
const RING_POLL_MS = 2;
/** Milliseconds that a shard has to write everything down at the end. */
const SHARD_DRAIN_MS = 15_000;

export class Acceptor implements WebSocketHandler {
  /** What dialects in folders of their own decode to: remoting. */
  readonly core: AcceptorCore;
  private readonly lifecycle: ShardLifecycle;
  private readonly webSocket: WebSocketFront;
  private readonly httpFront: HttpFront;
  private firstShard = 0;
  private nextUpkeepMs: number;
  private draining: Promise<void> | undefined;
  private onIdle: (() => void) | undefined;

  constructor(options: AcceptorOptions) {
    this.core = new AcceptorCore(options, (shard, event) => {
      this.lifecycle.onEvent(shard, event);
      options.onShardEvent(shard, event);
    });
    this.lifecycle = new ShardLifecycle(this.core);
    this.webSocket = new WebSocketFront(this.core);
    const routes = [...messageRoutes(this.core, options), ...adminRoutes(this.core, options)];
    this.httpFront = new HttpFront(this.core, new HttpRoutes(routes));
    this.nextUpkeepMs = options.clock.monotonicMs() + UPKEEP_MS;
  }

  /**
   * Takes over what the shards remember, and brings those up to date that differ from shard 0. Until it resolves requests
   * are refused with SHARD_RESTARTING; it needs `doWork` to be called meanwhile.
   *
   * @param metadata - of shard n at index n
   */
  start(metadata: readonly ShardMetadata[]): Promise<void> {
    return this.lifecycle.start(metadata);
  }

  /** Which broker this is: known once its port is bound. */
  setIdentity(identity: BrokerIdentity): void {
    this.core.setIdentity(identity);
  }

  /** What this broker is in its replication; a slave takes over what its log says and refuses the rest. */
  setRole(isSlave: boolean): void {
    this.lifecycle.setRole(isSlave);
  }

  /** This broker is a slave, and its master is there again. @param master - where, as far as it is known */
  masterIsBack(master: string | undefined): void {
    this.lifecycle.masterIsBack(master);
  }

  /** All topics, in order of their names. */
  topics(): readonly TopicRecord[] {
    return this.core.topics.records.all();
  }

  groupNames(): readonly string[] {
    return this.core.groups.records.all().map(({ group }) => group);
  }

  /** Calls `action` after each change of the topics or groups; who made a topic waits for `announced`. */
  onNamesChanged(action: () => void, announced: () => Promise<void>): void {
    this.core.topics.records.onChange = action;
    this.core.groups.records.onChange = action;
    this.core.announced = announced;
  }

  /** Decides about an upgrade to WebSocket. @returns undefined to let it in */
  admit(request: {
    readonly origin: string | undefined;
    readonly host: string | undefined;
  }): HttpResponse | undefined {
    const refusal = this.core.isDraining
      ? new SluiceError('DRAINING')
      : this.core.origins.check(request.origin, request.host);
    if (refusal === undefined) return undefined;
    this.core.counters.refused(refusal.code);
    return refusalResponse(refusalBody(refusal, false));
  }

  /** Decides about a request before its body is read: nobody without a token makes the broker hold much. */
  admitBody(request: BodyAnnouncement): HttpResponse | undefined {
    const { headers, remoteAddress, bodyBytes = Number.POSITIVE_INFINITY } = request;
    if (bodyBytes <= UNAUTHENTICATED_BYTES_MAX) return undefined;
    const refusal = this.core.auth.check(bearerToken(headers.get('authorization')), remoteAddress);
    if (refusal === undefined) return undefined;
    this.core.counters.refused(refusal.code);
    return refusalResponse(refusalBody(refusal, false));
  }

  /** Answers one HTTP request. Never rejects. */
  http(request: HttpRequest): Promise<HttpResponse> {
    return this.httpFront.handle(request);
  }

  open(connection: WebSocketConnection): void {
    this.webSocket.open(connection);
  }

  text(connection: WebSocketConnection, text: string): void {
    this.webSocket.text(connection, text);
  }

  binary(connection: WebSocketConnection, bytes: Uint8Array): void {
    this.webSocket.binary(connection, bytes);
  }

  drained(connection: WebSocketConnection): void {
    this.webSocket.drained(connection);
  }

  closed(connection: WebSocketConnection, code: number): void {
    this.webSocket.closed(connection, code);
  }

  /**
   * One round: replies go out, what waits for rings goes in, what is due is done.
   *
   * @param limit - replies taken from each shard
   * @returns work done
   */
  doWork(limit: number): number {
    const { core } = this;
    const links = core.links.all;
    let work = 0;
    core.outbox.collect();
    try {
      // Another shard first each time: where credit is scarce nobody is served last for ever.
      this.firstShard = (this.firstShard + 1) % links.length;
      for (let step = 0; step < links.length; step += 1)
        work += this.drainLink(core.links.get((this.firstShard + step) % links.length), limit);
      work += core.polls.answerFed();
    } finally {
      core.outbox.flush();
    }
    for (const link of links) work += link.flushBacklog();
    work += core.backPressure.resumeDrained();
    core.coldReads.turn();
    work += this.keepTime();
    if (this.onIdle !== undefined && this.isIdle) this.onIdle();
    return work;
  }

  /** Is there something that `doWork` would do now, timers aside? */
  hasWork(): boolean {
    const { links, backPressure } = this.core;
    return (
      links.all.some(
        (link) => link.isReachable && (link.canFlush || !link.port.replies.isEmpty()),
      ) || backPressure.canResume
    );
  }

  /** Milliseconds until `doWork` is needed even if no shard has anything to say. */
  msUntilDue(): number {
    const { clock, deadlines, links, backPressure, coldReads } = this.core;
    const dueMs = Math.min(this.nextUpkeepMs, deadlines.nextAtMs) - clock.monotonicMs();
    const waitsForRing = links.all.some((link) => link.hasBacklog) || backPressure.isWaiting;
    const waitsSoon = waitsForRing || coldReads.isHeldBack;
    return Math.max(0, waitsSoon ? Math.min(dueMs, RING_POLL_MS) : dueMs);
  }

  /** The shard has stopped: everything it was asked is answered with SHARD_RESTARTING or SHARD_FENCED. */
  shardDown(shard: number): void {
    this.lifecycle.down(shard);
  }

  /** The shard is back, with rings of its own. */
  shardUp(shard: number, port: ShardPort, metadata: ShardMetadata): void {
    this.lifecycle.up(shard, port, metadata);
  }

  /** A control request of the broker itself. @returns the shard's result */
  control<Result>(
    shard: number,
    request: ShardControlRequest,
    timeoutMs?: number,
  ): Promise<Result> {
    return this.core.links.get(shard).control<Result>(request, timeoutMs);
  }

  /**
   * Takes no new work, waits for what is under way, closes the connections with 1001, and has the shards write everything
   * down. Needs `doWork` to be called meanwhile.
   */
  drain(): Promise<void> {
    this.draining ??= this.runDrain();
    return this.draining;
  }

  /** Answers what is still open with CLOSED. */
  close(): void {
    this.core.isDraining = true;
    this.core.pending.failAll(new SluiceError('CLOSED', 'the broker was closed'));
  }

  /** The acceptor's numbers for `/metrics`. */
  metrics(): MetricSnapshot[] {
    return acceptorMetrics(this.core, this.httpFront.inFlight);
  }

  /** Lag and the like, asked of the shards. */
  groupMetrics(): Promise<MetricSnapshot[]> {
    return groupMetrics(this.core);
  }

  private async runDrain(): Promise<void> {
    const { core } = this;
    core.isDraining = true;
    for (const subscription of core.subscriptions.all()) core.deliveries.hold(subscription);
    core.polls.endAll();
    core.pending.failLongPolls(new SluiceError('DRAINING'));
    if (!this.isIdle) {
      await new Promise<void>((resolve) => {
        this.onIdle = resolve;
      });
      this.onIdle = undefined;
    }
    core.subscriptions.isBrokerEnding = true;
    for (const { connection } of core.sessions.all())
      connection.close(CLOSE_GOING_AWAY, 'the broker is shutting down');
    const links = core.links.all.filter((link) => link.isReachable);
    const results = await Promise.allSettled(
      links.map((link) => link.control({ op: 'drain' }, SHARD_DRAIN_MS)),
    );
    for (const [index, result] of results.entries())
      if (result.status === 'rejected')
        core.log.warn('shard-not-drained', { shard: links[index]?.shard, error: result.reason });
  }

  /** Nothing of a client is under way. */
  private get isIdle(): boolean {
    const { pending, sessions } = this.core;
    return pending.count === 0 && sessions.batchCount === 0 && this.httpFront.inFlight === 0;
  }

  /** The ring of a shard that has stopped was emptied when it did. */
  private drainLink(link: ShardLink, limit: number): number {
    return link.isReachable ? this.core.replies.drain(link, limit) : 0;
  }

  private keepTime(): number {
    const { core } = this;
    const nowMs = core.clock.monotonicMs();
    const ran = core.deadlines.run(nowMs);
    if (nowMs < this.nextUpkeepMs) return ran;
    this.nextUpkeepMs = nowMs + UPKEEP_MS;
    core.pending.failExpired(
      nowMs,
      new SluiceError('TIMEOUT', 'the shard has not answered in time; the outcome is unknown'),
    );
    core.backPressure.closeStuck();
    core.topics.records.retryMissing();
    core.groups.records.retryMissing();
    this.lifecycle.retryWaiting();
    return ran;
  }
}
