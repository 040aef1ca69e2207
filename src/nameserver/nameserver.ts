/**
 * The NameServer on its port: cuts frames, hands each to the core, writes the answer, scans for silent brokers, and stops in
 * order. Everything runs on the event-loop thread that started it; a request never waits for another.
 */
import { inflateSync } from 'node:zlib';
import { checkArgument } from '../base/assert.ts';
import { type CancelTimer, type Clock, startInterval, systemClock } from '../base/clock.ts';
import {
  REMOTING_FRAME_BYTES_MAX,
  TCP_PARTIAL_BYTES_MAX,
  TCP_SEND_BUFFER_BYTES_MAX,
} from '../base/limits.ts';
import { type Logger, silentLogger } from '../base/log-sink.ts';
import { CommandView } from '../protocol/remoting/command.ts';
import { decodeCommand, VERDICT_TEXTS } from '../protocol/remoting/command-decoder.ts';
import { encodeCommand } from '../protocol/remoting/command-encoder.ts';
import { FLAG_RESPONSE, REMOTING_FRAMES } from '../protocol/remoting/frame-layout.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import { HttpGuest } from '../transport/http-guest.ts';
import { OriginPolicy } from '../transport/origin-policy.ts';
import type { TcpConnection, TcpHandler, TcpListener } from '../transport/tcp.ts';
import { openTcpListener } from '../transport/tcp-open.ts';
import { readTlsRule, type TlsSettings } from '../transport/tls-files.ts';
import {
  type NameServerAnswer,
  NameServerCore,
  type NameServerCounters,
} from './nameserver-core.ts';
import { NameServerHttp } from './nameserver-http.ts';
import { DEFAULT_SWITCHES, type NameServerSwitches } from './nameserver-settings.ts';
import { RegistrationGuard } from './registration-guard.ts';

/** What a program may say; everything has a default. Meaning and range of each: docs/CONFIG.md, section NameServer. */
export type NameServerOptions = {
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: a free one. RocketMQ's is 9876. */
  readonly port?: number;
  /** Says yes to an address that other machines reach: whoever reaches it may ask for routes. */
  readonly insecureIUnderstand?: boolean;
  /** TLS beside plain connections, or alone; default: none. */
  readonly tls?: TlsSettings;
  /** Shared token that registrations and changes must carry. */
  readonly registrationToken?: string | undefined;
  /** RocketMQ access key and secret with which they may be signed instead. */
  readonly accessKey?: string | undefined;
  readonly secretKey?: string | undefined;
  /** Milliseconds of silence after which a broker is forgotten; default 120000. */
  readonly brokerTimeoutMs?: number;
  /** Milliseconds between two looks for silent brokers; default 5000. */
  readonly scanIntervalMs?: number;
  /** Milliseconds of silence after which a connection is closed; default 120000. */
  readonly idleTimeoutMs?: number;
  readonly connectionsMax?: number;
  readonly connectionsPerAddressMax?: number;
  /** Milliseconds after the start in which routes are refused; default 0. */
  readonly waitForServiceMs?: number;
  readonly switches?: Partial<NameServerSwitches>;
  /** Web pages that may ask over HTTP, by exact origin, beside those of the host itself and of localhost. */
  readonly allowedOrigins?: readonly string[];
  /** Values of the Host header that are answered, beside `host`, localhost and loopback addresses. */
  readonly allowedHosts?: readonly string[];
  /** Where it reports changes of state; default: nowhere. */
  readonly log?: Logger;
};

/** What it counted, and how much it knows now. */
export type NameServerStatistics = Readonly<NameServerCounters> & {
  readonly brokers: number;
  readonly topics: number;
  readonly connections: number;
  readonly connectionsRefused: number;
  readonly framesRefused: number;
};

/** What is known once it takes requests: the `ready` event of `sluice namesrv --json`. */
export type NameServerReady = {
  readonly role: 'namesrv';
  readonly pid: number;
  /** `host:port` */
  readonly namesrv: string;
};

/** A running NameServer. */
export interface NameServer extends AsyncDisposable {
  readonly ready: NameServerReady;
  readonly port: number;
  /** What it knows and has refused so far. */
  statistics(): NameServerStatistics;
  /** Takes no new connections, sends what is answered, closes. Resolves when all is closed. */
  close(): Promise<void>;
}

/** Milliseconds until a request of HTTP must be there. */
const HTTP_REQUEST_TIMEOUT_MS = 10_000;

const DEFAULTS = {
  host: '127.0.0.1',
  port: 0,
  brokerTimeoutMs: 120_000,
  scanIntervalMs: 5000,
  idleTimeoutMs: 120_000,
  connectionsMax: 10_000,
  connectionsPerAddressMax: 10_000,
  waitForServiceMs: 0,
} as const;

class RunningNameServer implements NameServer, TcpHandler {
  ready: NameServerReady = { role: 'namesrv', pid: process.pid, namesrv: '' };
  private readonly core: NameServerCore;
  private readonly log: Logger;
  /** One for all connections: a command is handled before the next frame is looked at. */
  private readonly command: CommandView = new CommandView();
  private listener: TcpListener | undefined = undefined;
  private guest: HttpGuest | undefined = undefined;
  private cancelScan: CancelTimer = () => {};
  private closing: Promise<void> | undefined = undefined;

  constructor(core: NameServerCore, log: Logger) {
    this.core = core;
    this.log = log;
  }

  async start(options: NameServerOptions): Promise<void> {
    const given = { ...DEFAULTS, ...options };
    const { connectionsMax, connectionsPerAddressMax } = given;
    const http = new NameServerHttp({
      core: this.core,
      origins: new OriginPolicy(given.allowedOrigins ?? [], [
        ...(given.allowedHosts ?? []),
        given.host,
      ]),
      statistics: () => this.statistics(),
    });
    const guest = new HttpGuest({
      http: (request) => http.handle(request),
      limits: {
        connectionsMax,
        connectionsPerAddressMax,
        httpBodyBytesMax: 0,
        requestTimeoutMs: HTTP_REQUEST_TIMEOUT_MS,
      },
    });
    this.guest = guest;
    this.listener = await openTcpListener({
      host: given.host,
      port: given.port,
      rule: REMOTING_FRAMES,
      handler: this,
      tls: given.tls === undefined ? undefined : readTlsRule(given.tls),
      onHttp: (socket) => guest.take(socket),
      limits: {
        idleTimeoutMs: given.idleTimeoutMs,
        partialBytesMax: TCP_PARTIAL_BYTES_MAX,
        sendBufferBytesMax: TCP_SEND_BUFFER_BYTES_MAX,
        connectionsMax,
        connectionsPerAddressMax,
      },
    });
    this.cancelScan = startInterval(given.scanIntervalMs, () => this.core.scan());
    const host = given.host.includes(':') ? `[${given.host}]` : given.host;
    this.ready = { role: 'namesrv', pid: process.pid, namesrv: `${host}:${this.port}` };
    this.log.info('listening', { namesrv: this.ready.namesrv });
  }

  get port(): number {
    return this.listener?.port ?? 0;
  }

  statistics(): NameServerStatistics {
    const { counters, routes } = this.core;
    return {
      ...counters,
      brokers: routes.brokers.brokerCount,
      topics: routes.topicCount,
      connections: this.listener?.connectionCount ?? 0,
      connectionsRefused: this.listener?.statistics.connectionsRefused ?? 0,
      framesRefused: this.listener?.statistics.framesRefused ?? 0,
    };
  }

  close(): Promise<void> {
    this.closing ??= this.stop();
    return this.closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private async stop(): Promise<void> {
    this.cancelScan();
    await Promise.all([this.listener?.close(), this.guest?.close()]);
    this.log.info('closed', this.statistics());
  }

  open(): void {}

  drained(): void {}

  frame(connection: TcpConnection, frame: Uint8Array): void {
    const { command } = this;
    const verdict = decodeCommand(frame, command);
    if (verdict !== 'ok') {
      const { remoteAddress, id } = connection;
      const reason = VERDICT_TEXTS[verdict];
      this.log.warn('frame-refused', { connectionId: id, remoteAddress, reason });
      connection.end('bad-frame');
      return;
    }
    // A NameServer asks nobody anything, so nobody has anything to answer it.
    if (command.isResponse) return;
    const answer = this.answer(connection);
    if (!command.isOneway) connection.send(this.encode(answer));
  }

  private answer(connection: TcpConnection): NameServerAnswer {
    try {
      return this.core.handle({ command: this.command, connectionId: connection.id });
    } catch (error) {
      // A bug: the connection closes with it, and its broker registers again.
      this.log.error('request-failed', { code: this.command.code, error: error as Error });
      throw error;
    }
  }

  /** The frame of an answer; what does not fit into one is told so. */
  private encode(answer: NameServerAnswer): Uint8Array {
    const { opaque, form } = this.command;
    const { code = RESPONSE_CODES.SUCCESS, remark, fields, body } = answer;
    const head = { opaque, flag: FLAG_RESPONSE };
    try {
      return encodeCommand({ ...head, code, remark, fields, body }, form);
    } catch (error) {
      const refusal = { code: RESPONSE_CODES.SYSTEM_ERROR, remark: (error as Error).message };
      return encodeCommand({ ...head, ...refusal }, form);
    }
  }

  closed(connection: TcpConnection): void {
    this.core.connectionClosed(connection.id);
  }
}

/** A zlib stream, at most so large as a frame may be: a small one must not become a large one. */
function inflate(bytes: Uint8Array): Uint8Array | undefined {
  try {
    return inflateSync(bytes, { maxOutputLength: REMOTING_FRAME_BYTES_MAX });
  } catch {
    return undefined;
  }
}

/** What GET_NAMESRV_CONFIG shows of the start; nothing secret. */
function shownSettings(options: NameServerOptions): ReadonlyMap<string, string> {
  const given = { ...DEFAULTS, ...options };
  return new Map<string, string>([
    ['bindAddress', given.host],
    ['listenPort', String(given.port)],
    ['brokerTimeoutMs', String(given.brokerTimeoutMs)],
    ['scanNotActiveBrokerInterval', String(given.scanIntervalMs)],
    ['serverChannelMaxIdleTimeSeconds', String(given.idleTimeoutMs / 1000)],
  ]);
}

function isLoopback(address: string): boolean {
  return address === '::1' || address === 'localhost' || /^127(\.\d{1,3}){3}$/.test(address);
}

/**
 * Starts a NameServer in this process and resolves when it takes requests.
 *
 * @throws INVALID_ARGUMENT for a port in use, an address that is not ours, or one that others reach without
 *   `insecureIUnderstand`, files of TLS that are none
 * @example
 * await using nameServer = await createNameServer({ port: 9876 });
 */
export async function createNameServer(options: NameServerOptions = {}): Promise<NameServer> {
  const { accessKey, secretKey, registrationToken: token } = options;
  const host = options.host ?? DEFAULTS.host;
  checkArgument(
    isLoopback(host) || options.insecureIUnderstand === true,
    `bindAddress ${host} can be reached from other machines, and whoever reaches a NameServer may ask for routes`,
    'Listen on 127.0.0.1; or set registrationToken or accessKey, keep the port inside a private network, and say insecureIUnderstand.',
  );
  checkArgument(
    (accessKey === undefined) === (secretKey === undefined),
    'accessKey and secretKey go together',
  );
  const log = options.log ?? silentLogger;
  const clock: Clock = systemClock;
  const core = new NameServerCore({
    clock,
    log,
    guard: new RegistrationGuard({ token, accessKey, secretKey }),
    inflate,
    switches: { ...DEFAULT_SWITCHES, ...options.switches },
    shownSettings: shownSettings(options),
    brokerTimeoutMs: options.brokerTimeoutMs ?? DEFAULTS.brokerTimeoutMs,
    waitForServiceMs: options.waitForServiceMs ?? DEFAULTS.waitForServiceMs,
  });
  const nameServer = new RunningNameServer(core, log);
  await nameServer.start(options);
  return nameServer;
}
