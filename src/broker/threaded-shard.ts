/**
 * A shard in threads of its own: the shard and its flusher, over one piece of shared memory. A crash of either ends both;
 * they come back by recovery with new memory, three times a minute at most, then the shard is fenced. Main thread.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { ShardPort, ShardState } from '../acceptor/shard-port.ts';
import type { ParkWord } from '../agent/park-word.ts';
import { type Clock, startTimer } from '../base/clock.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import type { FlusherWorkerData, FlusherWorkerFailure } from '../commit/flusher-worker.ts';
import type { LogMemory } from '../log/log-memory.ts';
import { memoryOf, type SideJob } from '../log/side-job.ts';
import { LATENCY_HISTOGRAM_BYTES, LatencyHistogram } from '../observe/latency-histogram.ts';
import type { ShardMetadata } from '../protocol/shard-control.ts';
import type { RingConsumer } from '../ring/ring-consumer.ts';
import type { RingProducer } from '../ring/ring-producer.ts';
import { DEFERRED_METER_BYTES, SharedDeferredMeter } from '../shard/deferred-meter.ts';
import type { ShardConfig, ShardReplication } from '../shard/shard-config.ts';
import {
  acceptorRings,
  acceptorWordOf,
  allocateShardMemory,
  FLUSHER_WORD_AT,
  flusherWordOf,
  logMemoryOf,
  REPLICATION_PORT,
  REPLICATION_WORD_AT,
  SHARD_WORD_AT,
  type ShardMemory,
  shardWordOf,
  tailOf,
} from '../shard/shard-memory.ts';
import type { ShardWorkerData, ShardWorkerMessage } from '../shard/shard-worker-data.ts';
import type { ShardHost, ShardHostEvents } from './shard-host.ts';
import type { SidePool } from './side-pool.ts';
import { FLUSHER_HEAP, FLUSHER_WORKER, SHARD_HEAP, SHARD_WORKER } from './thread-plan.ts';

/** Crashes within this time that fence the shard. */
const CRASHES_MAX = 3;
const CRASH_WINDOW_MS = 60_000;
/** Until a thread that was told to stop is ended by force: a sync may hang. */
const STOP_TIMEOUT_MS = 10_000;

/** What a replicated shard is told for a life of its threads. */
export type ShardReign = {
  readonly epoch: number;
  readonly logId: string;
  readonly replication: ShardReplication;
};

/** What the replication thread needs of a life: once given, the ports are its own. */
export type ReplicationEnds = {
  readonly memory: ShardMemory;
  readonly ports: readonly MessagePort[];
};

/** One life of the two threads. */
type Life = {
  readonly memory: ShardMemory;
  readonly logMemory: LogMemory;
  readonly word: ParkWord;
  readonly flusherWord: ParkWord;
  readonly acceptorWord: ParkWord;
  readonly port: ShardPort & { state: ShardState };
  readonly shard: Worker;
  readonly flusher: Worker;
  ends: ReplicationEnds | undefined;
};

export class ThreadedShard implements ShardHost {
  readonly config: ShardConfig;
  readonly flushLatency: LatencyHistogram;
  readonly deferred: SharedDeferredMeter;
  private readonly directory: string;
  private readonly ringBytes: number;
  private readonly pool: SidePool;
  private readonly events: ShardHostEvents;
  private readonly reign: (() => ShardReign) | undefined;
  private readonly clock: Clock;
  private readonly histogram = new SharedArrayBuffer(LATENCY_HISTOGRAM_BYTES);
  private readonly meter = new SharedArrayBuffer(DEFERRED_METER_BYTES);
  private readonly crashes: number[] = [];
  private life: Life | undefined;
  private isStopping = false;
  /** Closed for a time: no crash brings it back. */
  private isClosed = false;
  private restarting: Promise<void> | undefined;

  constructor(options: {
    config: ShardConfig;
    directory: string;
    ringBytes: number;
    pool: SidePool;
    clock: Clock;
    events: ShardHostEvents;
    /** Asked at each beginning of a life; undefined: nobody else has this log. */
    reign?: () => ShardReign;
  }) {
    this.config = options.config;
    this.directory = options.directory;
    this.ringBytes = options.ringBytes;
    this.pool = options.pool;
    this.clock = options.clock;
    this.events = options.events;
    this.reign = options.reign;
    this.flushLatency = new LatencyHistogram(this.histogram, 0);
    this.deferred = new SharedDeferredMeter(this.meter);
  }

  get port(): ShardPort {
    return this.alive.port;
  }

  get acceptorWord(): ParkWord {
    return this.alive.acceptorWord;
  }

  get logMemory(): LogMemory {
    return this.alive.logMemory;
  }

  start(): Promise<ShardMetadata> {
    return this.begin();
  }

  readCold(position: number, bytes: number): Promise<Uint8Array> {
    return this.pool.readCold(this.directory, this.config.segmentBytes, { position, bytes });
  }

  doWork(): number {
    return 0;
  }

  msUntilDue(): number {
    return Number.POSITIVE_INFINITY;
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.close();
  }

  /** Ends the threads after a last flush, until `open`. Whatever waits for the shard is told by whoever calls. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.restarting;
    if (this.life === undefined) return;
    this.life.port.state = 'restarting';
    await end(this.life);
  }

  /** Begins a new life after `close`; how it went is told as after a crash. */
  async open(): Promise<void> {
    if (this.isStopping) return;
    this.isClosed = false;
    const { port } = this.alive;
    port.state = 'restarting';
    this.restarting = this.restart(port);
    await this.restarting;
  }

  /** For the replication thread, once a life. */
  takeEnds(): ReplicationEnds | undefined {
    const { life } = this;
    const ends = life?.ends;
    if (life !== undefined) life.ends = undefined;
    return ends;
  }

  private get isEnding(): boolean {
    return this.isStopping || this.isClosed;
  }

  private get alive(): Life {
    if (this.life === undefined) throw new SluiceError('INVARIANT', 'the shard was not started');
    return this.life;
  }

  /** Allocates memory, starts both threads and waits until the shard has recovered. */
  private begin(): Promise<ShardMetadata> {
    const channel = new MessageChannel();
    const life = this.newLife(channel.port2);
    this.life = life;
    channel.port1.on('message', (job: SideJob) => {
      void this.pool.runJob(this.directory, job).then((result) => {
        channel.port1.postMessage(result, memoryOf(result));
        life.word.wake();
      });
    });
    channel.port1.unref();
    life.shard.on('exit', () => channel.port1.close());
    return this.watch(life);
  }

  private newLife(jobs: MessagePort): Life {
    const reign = this.reign?.();
    const ports = reign === undefined ? 1 : 1 + REPLICATION_PORT;
    const memory = allocateShardMemory(this.config.tailBytes, this.ringBytes, ports);
    const news = reign === undefined ? undefined : [new MessageChannel(), new MessageChannel()];
    const [ofShard, ofFlusher] = news?.map(({ port1 }) => port1) ?? [];
    const data: ShardWorkerData = {
      config:
        reign === undefined ? this.config : { ...this.config, replication: reign.replication },
      directory: this.directory,
      memory,
      epoch: reign?.epoch ?? 1,
      logId: reign?.logId,
      news: ofShard,
      ...{ histogram: this.histogram, meter: this.meter, jobs },
    };
    const word = shardWordOf(memory);
    const shard = new Worker(SHARD_WORKER, {
      workerData: data,
      transferList: ofShard === undefined ? [jobs] : [jobs, ofShard],
      name: `shard-${this.config.shard}`,
      resourceLimits: SHARD_HEAP,
    });
    const flusher = new Worker(FLUSHER_WORKER, {
      workerData: this.flusherData(memory, data.epoch, ofFlusher),
      transferList: ofFlusher === undefined ? [] : [ofFlusher],
      name: `flusher-${this.config.shard}`,
      resourceLimits: FLUSHER_HEAP,
    });
    const port = makePort(this.config.shard, memory, (requests) => {
      word.wake();
      this.events.onRequests(requests);
    });
    return {
      memory,
      logMemory: logMemoryOf(memory),
      word,
      flusherWord: flusherWordOf(memory),
      acceptorWord: acceptorWordOf(memory, 0),
      port,
      shard,
      flusher,
      ends: news && { memory, ports: news.map(({ port2 }) => port2) },
    };
  }

  /** Resolves when the shard has recovered, and looks after the two threads from then on. */
  private watch(life: Life): Promise<ShardMetadata> {
    const { shard, flusher } = life;
    return new Promise((resolve, reject) => {
      const crashed = (error: SluiceError): void => {
        if (life.port.state === 'running') this.onCrash(life, error);
        else void end(life).then(() => reject(error));
      };
      flusher.on('error', (error) => crashed(toSluiceError(error)));
      flusher.on('message', ({ code, message }: FlusherWorkerFailure) =>
        this.events.onDiskFailure(this.config.shard, new SluiceError(code, message)),
      );
      flusher.on('exit', () => {
        // One that stopped for a fault of the disk has told its shard, which fences itself and goes on answering.
        if (!life.logMemory.isStopping && life.logMemory.faultCode() === undefined)
          crashed(new SluiceError('SHARD_RESTARTING', 'the flusher thread of the shard ended'));
      });
      shard.on('message', (message: ShardWorkerMessage) => {
        if (message.kind === 'wake') this.events.onReplies();
        else if (message.kind === 'failed')
          crashed(
            new SluiceError(message.code, message.message, {
              hint: message.hint,
              cause: message.stack,
            }),
          );
        else {
          life.port.state = 'running';
          resolve(message.metadata);
        }
      });
      shard.on('error', (error) => crashed(toSluiceError(error)));
      shard.on('exit', () => {
        if (!life.logMemory.isStopping)
          crashed(new SluiceError('SHARD_RESTARTING', 'the thread of the shard ended'));
      });
    });
  }

  private flusherData(
    memory: ShardMemory,
    epoch: number,
    port: MessagePort | undefined,
  ): FlusherWorkerData {
    return {
      directory: this.directory,
      control: memory.control,
      shardWordAt: SHARD_WORD_AT,
      flusherWordAt: FLUSHER_WORD_AT,
      tail: memory.tail,
      histogram: this.histogram,
      mode: this.config.flushMode,
      flushIntervalMs: this.config.flushIntervalMs,
      shardSyncMicrosMax: this.config.shardSyncMicrosMax,
      segmentBytes: this.config.segmentBytes,
      epoch,
      news: port && { port, wordAt: REPLICATION_WORD_AT },
    };
  }

  private onCrash(life: Life, error: SluiceError): void {
    if (this.life !== life || this.isEnding || life.port.state !== 'running') return;
    this.goDown(life.port, error);
    this.restarting = end(life).then(() => this.restart(life.port));
  }

  /** Counts a crash, and says so by the port that the acceptor has. */
  private goDown(port: Life['port'], error: SluiceError): void {
    const now = this.clock.monotonicMs();
    this.crashes.push(now);
    while ((this.crashes[0] ?? now) < now - CRASH_WINDOW_MS) this.crashes.shift();
    const isFenced = this.crashes.length >= CRASHES_MAX;
    port.state = isFenced ? 'fenced' : 'restarting';
    this.events.onDown(this.config.shard, error, isFenced);
  }

  /** Begins new lives until one recovers or there were too many. @param port - of the last life that did */
  private async restart(port: Life['port']): Promise<void> {
    while (port.state === 'restarting' && !this.isEnding) {
      try {
        const metadata = await this.begin();
        if (this.isEnding) return;
        this.events.onUp(this.config.shard, metadata);
        return;
      } catch (error) {
        if (this.isEnding) return;
        this.goDown(port, toSluiceError(error));
        this.alive.port.state = port.state;
      }
    }
  }
}

function makePort(
  shard: number,
  memory: ShardMemory,
  onRequests: (count: number) => void,
): ShardPort & { state: ShardState } {
  const rings: { requests: RingProducer; replies: RingConsumer } = acceptorRings(memory, 0);
  const tail = tailOf(memory);
  return {
    shard,
    requests: rings.requests,
    replies: rings.replies,
    wake: oncePerTurn(onRequests),
    tailView: (position, bytes) => tail.at(position, bytes),
    // Until it has recovered.
    state: 'restarting',
  };
}

/**
 * Runs `action` once when the running callback has done all it does, with the number of calls: waking a thread costs a system
 * call, and the frames of one chunk are many.
 */
function oncePerTurn(action: (calls: number) => void): () => void {
  let calls = 0;
  const run = (): void => {
    const all = calls;
    calls = 0;
    action(all);
  };
  return () => {
    calls += 1;
    if (calls === 1) queueMicrotask(run);
  };
}

/** Ends both threads: first asked, then by force. */
async function end(life: Life): Promise<void> {
  life.logMemory.requestStop();
  life.word.wake();
  life.flusherWord.wake();
  await Promise.all([ended(life.shard), ended(life.flusher)]);
}

function ended(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return Promise.resolve();
  return new Promise((resolve) => {
    const cancel = startTimer(STOP_TIMEOUT_MS, () => void worker.terminate());
    worker.once('exit', () => {
      cancel();
      resolve();
    });
  });
}
