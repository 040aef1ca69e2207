/**
 * An acceptor with real shards, a simulated clock and connections without sockets, all in the calling thread. Nothing
 * happens but in `settle`, which gives everybody turns until nobody has work.
 */
import { Acceptor } from '../acceptor/acceptor.ts';
import type { AcceptorConfig } from '../acceptor/acceptor-options.ts';
import { ATTEMPTS_MAX_DEFAULT, BODY_BYTES_MAX, IN_FLIGHT_REQUESTS_MAX } from '../base/limits.ts';
import { type RecordedLine, recordingLogger } from '../base/log-sink.ts';
import { KIB, MIB } from '../base/units.ts';
import { MemoryStorage } from '../log/memory-storage.ts';
import type { ShardEvent } from '../protocol/shard-control.ts';
import { encodeControl } from '../protocol/web/control-codec.ts';
import type { ShardConfig } from '../shard/shard-config.ts';
import type { HttpResponse } from '../transport/transport.ts';
import { type Answer, FakeConnection } from './fake-connection.ts';
import { RIG_RING_BYTES, RigShard } from './rig-shard.ts';
import { SimClock } from './sim-clock.ts';

const TURNS_MAX = 2000;
const IDLE_TURNS = 4;
const HTTP_WAITS_MAX = 5000;

export const RIG_ACCEPTOR_CONFIG: AcceptorConfig = {
  authToken: null,
  allowedOrigins: [],
  allowedHosts: [],
  autoCreateTopics: true,
  autoCreateGroups: true,
  defaultTopicQueues: 4,
  defaultMaxAttempts: ATTEMPTS_MAX_DEFAULT,
  defaultRetryBackoffMs: [10],
  defaultLeaseMs: 30_000,
  delayMsMax: 3_600_000,
  delayLevelsMs: [1000, 5000],
  transactionTimeoutMs: 2000,
  topicsMax: 100,
  groupsMax: 100,
  bodyBytesMax: BODY_BYTES_MAX,
  inFlightRequestsMax: IN_FLIGHT_REQUESTS_MAX,
  messagesPerSecondMax: 0,
  bytesPerSecondMax: 0,
};

export type RigOptions = {
  readonly shards?: number;
  readonly config?: Partial<AcceptorConfig>;
  readonly shardConfig?: Partial<ShardConfig>;
  readonly ringBytes?: number;
};

/** What a test asks over HTTP. */
export type RigRequest = {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | object;
  readonly signal?: AbortSignal;
};

export class AcceptorRig {
  readonly clock: SimClock = new SimClock();
  readonly lines: RecordedLine[];
  readonly events: ShardEvent[] = [];
  readonly acceptor: Acceptor;
  readonly shards: RigShard[];
  /** Cold reads done; `coldGate` holds them back until it resolves. */
  coldReads = 0;
  coldGate: Promise<void> = Promise.resolve();
  private readonly storages: MemoryStorage[];
  private readonly shardConfigs: readonly ShardConfig[];
  private readonly ringBytes: number;
  private connectionCount = 0;

  private constructor(options: RigOptions) {
    const { logger, lines } = recordingLogger();
    const count = options.shards ?? 2;
    this.lines = lines;
    this.ringBytes = options.ringBytes ?? RIG_RING_BYTES;
    this.storages = Array.from({ length: count }, () => new MemoryStorage(64 * MIB));
    this.shardConfigs = this.storages.map((_, shard) => shardConfigOf(shard, count, options));
    this.shards = this.shardConfigs.map((config, shard) => this.openShard(config, shard));
    this.acceptor = new Acceptor({
      clock: this.clock,
      log: logger,
      config: { ...RIG_ACCEPTOR_CONFIG, ...options.config },
      shards: this.shards.map((shard) => shard.port),
      readCold: async (shard, position, bytes) => {
        await this.coldGate;
        this.coldReads += 1;
        return (this.shards[shard] as RigShard).readCold(position, bytes);
      },
      onShardEvent: (_shard, event) => this.events.push(event),
      metricsText: () => 'sluice_up 1\n',
      unreadyReasons: () => [],
      brokerFacts: () => ({ version: '0.0.0-test' }),
    });
    this.acceptor.setIdentity({ name: 'rig', address: '127.0.0.1', port: 8880 });
  }

  static async start(options: RigOptions = {}): Promise<AcceptorRig> {
    const rig = new AcceptorRig(options);
    const started = rig.acceptor.start(rig.shards.map((shard) => shard.metadata));
    await rig.settle();
    await started;
    return rig;
  }

  /** Turns for everybody, a millisecond each, until nobody has work or `isEnough`. */
  async settle(isEnough: () => boolean = () => false): Promise<void> {
    let idle = 0;
    for (let turn = 0; turn < TURNS_MAX && idle < IDLE_TURNS && !isEnough(); turn += 1) {
      this.clock.advance(1);
      let work = this.acceptor.doWork(1000);
      for (const shard of this.shards) work += shard.doWork();
      // Continuations of promises and timers of the platform have their turn too.
      await new Promise((resolve) => setImmediate(resolve));
      idle = work === 0 ? idle + 1 : 0;
    }
  }

  /** Time passes in steps, with turns in between. */
  async pass(ms: number, stepMs = 100): Promise<void> {
    const endMs = this.clock.monotonicMs() + ms;
    while (this.clock.monotonicMs() < endMs) {
      this.clock.advance(Math.min(stepMs, endMs - this.clock.monotonicMs()));
      await this.settle();
    }
  }

  connect(remoteAddress = '127.0.0.1'): FakeConnection {
    this.connectionCount += 1;
    const connection = new FakeConnection(this.connectionCount, remoteAddress, (closed) =>
      this.acceptor.closed(closed, closed.closeCode ?? 1006),
    );
    this.acceptor.open(connection);
    return connection;
  }

  /** The peer goes away. */
  disconnect(connection: FakeConnection): void {
    connection.closeCode = 1006;
    this.acceptor.closed(connection, 1006);
  }

  /** Sends a request as JSON (or CONTROL) and gives what came back with its id. */
  async ask(
    connection: FakeConnection,
    request: object,
    dialect: 'json' | 'binary' = 'json',
  ): Promise<Answer> {
    const id = `ask-${connection.frames}-${Math.floor(this.clock.monotonicMs())}`;
    if (dialect === 'json') this.acceptor.text(connection, JSON.stringify({ id, ...request }));
    else this.acceptor.binary(connection, encodeControl({ id, ...request }));
    const wanted = Object.hasOwn(request, 'id') ? (request as { id: unknown }).id : id;
    const isAnswer = (answer: Answer): boolean => answer['id'] === wanted;
    await this.settle(() => connection.answers.some(isAnswer));
    const index = connection.answers.findIndex(isAnswer);
    if (index < 0) throw new Error(`no answer to ${JSON.stringify(request).slice(0, 200)}`);
    return connection.answers.splice(index, 1)[0] as Answer;
  }

  /** One HTTP request, answered. */
  async http(method: string, url: string, request: RigRequest = {}): Promise<HttpResponse> {
    let response: HttpResponse | undefined;
    const answered = this.startHttp(method, url, request).then((value) => {
      response = value;
      return value;
    });
    await this.settle(() => response !== undefined);
    for (let waits = 0; response === undefined && waits < HTTP_WAITS_MAX; waits += 1)
      await this.pass(20, 20);
    return answered;
  }

  /** Begins an HTTP request; the test gives the turns. */
  startHttp(method: string, url: string, request: RigRequest = {}): Promise<HttpResponse> {
    const { pathname, searchParams } = new URL(url, 'http://127.0.0.1:8880');
    const headers = new Map(Object.entries({ host: '127.0.0.1:8880', ...request.headers }));
    return this.acceptor.http({
      method,
      path: pathname,
      query: searchParams,
      headers,
      body: bodyBytes(request.body),
      remoteAddress: '127.0.0.1',
      signal: request.signal ?? new AbortController().signal,
    });
  }

  /** The shard's thread ends. */
  stopShard(shard: number, state: 'restarting' | 'fenced' = 'restarting'): void {
    const stopped = this.shards[shard] as RigShard;
    stopped.isScheduled = false;
    stopped.port.state = state;
    this.acceptor.shardDown(shard);
  }

  /** It comes back on what it had stored. */
  restartShard(shard: number): void {
    const restarted = this.openShard(this.shardConfigs[shard] as ShardConfig, shard);
    this.shards[shard] = restarted;
    this.acceptor.shardUp(shard, restarted.port, restarted.metadata);
  }

  private openShard(config: ShardConfig, shard: number): RigShard {
    return new RigShard(config, this.storages[shard] as MemoryStorage, this.clock, this.ringBytes);
  }
}

function bodyBytes(body: RigRequest['body']): Uint8Array {
  if (body instanceof Uint8Array) return body;
  if (body === undefined) return new Uint8Array(0);
  return new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body));
}

function shardConfigOf(shard: number, shards: number, options: RigOptions): ShardConfig {
  return {
    shard,
    shards,
    flushMode: 'SYNC_FLUSH',
    isVolatile: false,
    flushIntervalMs: 100,
    segmentBytes: 256 * KIB,
    segmentsAhead: 1,
    tailBytes: 64 * KIB,
    retentionMs: 72 * 3_600_000,
    retentionBytes: null,
    diskHardRatio: 1,
    diskSoftRatio: 1,
    ...options.shardConfig,
  };
}
