/**
 * The port of RocketMQ's clients: takes connections, cuts frames, finds the handler of each request, and stops in order. What
 * is no frame of the protocol closes its own connection and no other. Main thread, callbacks of the event loop.
 */
import type { SendLimits } from '../acceptor/send-rate.ts';
import type { Clock } from '../base/clock.ts';
import { type CancelTimer, startInterval } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { TCP_PARTIAL_BYTES_MAX, TCP_SEND_BUFFER_BYTES_MAX } from '../base/limits.ts';
import type { Logger } from '../base/log-sink.ts';
import type { MetricSnapshot } from '../observe/metrics-text.ts';
import { CommandView } from '../protocol/remoting/command.ts';
import { decodeCommand, VERDICT_TEXTS } from '../protocol/remoting/command-decoder.ts';
import { REMOTING_FRAMES } from '../protocol/remoting/frame-layout.ts';
import { FrameSpace } from '../protocol/remoting/frame-space.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { TcpConnection, TcpHandler, TcpListener, TlsRule } from '../transport/tcp.ts';
import { openTcpListener } from '../transport/tcp-open.ts';
import { AccessGuard, type AccessSource } from './access-guard.ts';
import { RemotingConnection } from './remoting-connection.ts';
import type { RemotingContext, RemotingHandler } from './remoting-context.ts';
import { RemotingCounters, remotingMetrics } from './remoting-counters.ts';
import { handlersOf } from './remoting-handlers.ts';
import { RemotingRequest } from './remoting-request.ts';
import { SendLimit } from './send-limit.ts';
import { replyTopicOf } from './send-topic.ts';
import { topicAtOffset } from './stored-record.ts';

/** Milliseconds of silence after which a connection is closed. @source RocketMQ NettyServerConfig */
const IDLE_TIMEOUT_MS = 120_000;
/** Milliseconds between looks at requests to clients that are not answered, and for other access rights. */
const UPKEEP_MS = 1000;
/** Clients above this version know GO_AWAY: they connect anew and ask again. @source RocketMQ NettyRemotingClient */
const VERSION_BEFORE_GO_AWAY = 475;

export type RemotingPortOptions = {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** Unanswered requests of one connection, those apart that wait for messages. */
  readonly inFlightMax: number;
  /** Of the sends of one connection. */
  readonly sendLimits: SendLimits;
  /** Undefined: the port speaks no TLS. */
  readonly tls: TlsRule | undefined;
  /** Undefined: nobody need sign. */
  readonly access: AccessSource | undefined;
  readonly clock: Clock;
  readonly log: Logger;
};

export class RemotingPort implements TcpHandler {
  private readonly counters: RemotingCounters = new RemotingCounters();
  private readonly options: RemotingPortOptions;
  private handlers: ReadonlyMap<number, RemotingHandler> = new Map();
  /** One for all connections: a request is handed over before the next frame is looked at. */
  private readonly command: CommandView = new CommandView();
  private readonly connections = new Map<TcpConnection, RemotingConnection>();
  private readonly guard: AccessGuard;
  private readonly space = new FrameSpace();
  private context: RemotingContext | undefined;
  private listener: TcpListener | undefined;
  private cancelUpkeep: CancelTimer = () => {};
  private inFlight = 0;
  private isDraining = false;
  private onIdle: () => void = () => {};

  constructor(options: RemotingPortOptions) {
    this.options = options;
    this.guard = new AccessGuard(options.access);
  }

  /** Binds the port. Requests are answered from `serve` on. @throws INVALID_ARGUMENT when it is taken */
  async listen(): Promise<void> {
    const { host, port, tls, connectionsMax, connectionsPerAddressMax } = this.options;
    this.listener = await openTcpListener({
      ...{ host, port, rule: REMOTING_FRAMES, handler: this, tls },
      limits: {
        idleTimeoutMs: IDLE_TIMEOUT_MS,
        partialBytesMax: TCP_PARTIAL_BYTES_MAX,
        sendBufferBytesMax: TCP_SEND_BUFFER_BYTES_MAX,
        ...{ connectionsMax, connectionsPerAddressMax },
      },
    });
    this.cancelUpkeep = startInterval(UPKEEP_MS, () => this.keepTime());
  }

  /** What handlers work with: known once the port is. */
  serve(context: RemotingContext): void {
    this.handlers = handlersOf(context);
    this.guard.serve({
      replyTopic: replyTopicOf(context),
      topicAt: (offset) => topicAtOffset(context, offset),
    });
    context.mayBeAsked = ({ tcp }, topic) => this.guard.mayBeAsked(tcp, topic);
    this.context = context;
  }

  get port(): number {
    return this.listener?.port ?? 0;
  }

  get connectionCount(): number {
    return this.connections.size;
  }

  /** For `/metrics`; nothing before the port listens. */
  metrics(): MetricSnapshot[] {
    const { listener, inFlight } = this;
    if (listener === undefined) return [];
    let parked = 0;
    for (const connection of this.connections.values()) parked += connection.parked;
    return [...remotingMetrics({ listener, inFlight, parked }), ...this.counters.metrics()];
  }

  /** Takes no new connections and no new requests; resolves when those under way are answered. */
  async drain(): Promise<void> {
    this.isDraining = true;
    this.listener?.stopListening();
    if (this.inFlight === 0) return;
    await new Promise<void>((resolve) => {
      this.onIdle = resolve;
    });
  }

  async close(): Promise<void> {
    this.isDraining = true;
    this.cancelUpkeep();
    await this.listener?.close();
    this.onIdle();
  }

  open(tcp: TcpConnection): void {
    const { inFlightMax, sendLimits, clock } = this.options;
    const sendLimit = SendLimit.of(sendLimits, clock.monotonicMs());
    const connection = new RemotingConnection(tcp, inFlightMax, this.space, sendLimit);
    this.connections.set(tcp, connection);
  }

  drained(): void {}

  frame(tcp: TcpConnection, frame: Uint8Array): void {
    const connection = this.connections.get(tcp);
    if (connection === undefined) return;
    const { command } = this;
    const verdict = decodeCommand(frame, command);
    if (verdict !== 'ok') {
      const { remoteAddress, id } = tcp;
      const reason = VERDICT_TEXTS[verdict];
      this.options.log.warn('frame-refused', { connectionId: id, remoteAddress, reason });
      tcp.end('bad-frame');
      return;
    }
    if (command.isResponse) connection.answered(command);
    else {
      const kept = this.guard.needsCopy(command.code) ? copyOf(frame) : command;
      this.request(connection, kept, frame.length);
    }
  }

  closed(tcp: TcpConnection): void {
    const connection = this.connections.get(tcp);
    if (connection === undefined) return;
    this.connections.delete(tcp);
    connection.closed();
    this.context?.core.backPressure.forgetReader(connection);
    this.context?.connectionClosed(connection);
  }

  private request(connection: RemotingConnection, command: CommandView, frameBytes: number): void {
    const request = new RemotingRequest(connection, command, this.ended);
    this.inFlight += 1;
    connection.began();
    const { context } = this;
    if (context === undefined || this.isDraining) {
      this.refuseWhileDraining(request);
      return;
    }
    const handler = this.handlers.get(request.code);
    try {
      const admission = this.guard.admission(command, connection.tcp, handler !== undefined);
      if (admission instanceof Promise)
        admission.then(
          (refusal) => this.admitted(request, handler, frameBytes, refusal),
          (error: unknown) => this.failed(request, error),
        );
      else this.admitted(request, handler, frameBytes, admission);
    } catch (error) {
      this.failed(request, error);
    }
  }

  private admitted(
    request: RemotingRequest,
    handler: RemotingHandler | undefined,
    frameBytes: number,
    refusal: string | undefined,
  ): void {
    if (refusal !== undefined) {
      request.answer({ code: RESPONSE_CODES.NO_PERMISSION, remark: refusal });
      return;
    }
    const { sendLimit } = request.connection;
    const tooFast = sendLimit?.refusal(request, frameBytes, this.options.clock.monotonicMs());
    if (tooFast !== undefined) {
      request.refuse(tooFast);
      return;
    }
    if (handler === undefined) {
      // RocketMQ's words, with the blank that they begin with.
      const remark = ` request type ${request.code} not supported`;
      request.answer({ code: RESPONSE_CODES.REQUEST_CODE_NOT_SUPPORTED, remark });
      return;
    }
    try {
      handler(request)?.catch((error: unknown) => this.failed(request, error));
    } catch (error) {
      this.failed(request, error);
    }
  }

  private failed(request: RemotingRequest, error: unknown): void {
    if (!(error instanceof SluiceError))
      this.options.log.error('request-failed', { code: request.code, error: error as Error });
    request.refuse(error);
  }

  private refuseWhileDraining(request: RemotingRequest): void {
    if (request.version > VERSION_BEFORE_GO_AWAY)
      request.answer({ code: RESPONSE_CODES.GO_AWAY, remark: 'please go away' });
    else request.refuse(new SluiceError('DRAINING'));
  }

  private readonly ended = (request: RemotingRequest, code: number): void => {
    this.inFlight -= 1;
    request.connection.ended(request.isParked);
    this.counters.count(request.code, code);
    if (this.inFlight === 0 && this.isDraining) this.onIdle();
  };

  private keepTime(): void {
    const nowMs = this.options.clock.monotonicMs();
    for (const connection of this.connections.values()) connection.failExpired(nowMs);
    this.guard.keepTime();
  }
}

/** A command that outlives its frame. */
function copyOf(frame: Uint8Array): CommandView {
  const command = new CommandView();
  decodeCommand(frame.slice(), command);
  return command;
}
