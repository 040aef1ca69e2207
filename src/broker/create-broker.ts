/**
 * Builds a broker from its configuration: shards first, then what they remember, then the door. Stops in reverse. Main
 * thread; `sluice up` and programs that embed a broker come through here.
 */
import { availableParallelism } from 'node:os';
import { systemClock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { BATCH_BYTES_MAX } from '../base/limits.ts';
import { type Logger, silentLogger } from '../base/log-sink.ts';
import { MIB } from '../base/units.ts';
import { checkConfig, isLoopback } from '../config/config-check.ts';
import type { BrokerConfig } from '../config/config-schema.ts';
import { hasReplication } from '../config/role-check.ts';
import { STORED_BYTES_MAX } from '../log/stored-header.ts';
import { REPLICATE_RUN } from '../protocol/envelope-layout.ts';
import { RUN_BYTES_MAX } from '../replication/transfer-layout.ts';
import { ringPayloadMax } from '../ring/ring-layout.ts';
import type { TransportName } from '../transport/transport.ts';
import { RunningBroker } from './broker.ts';
import { openDataDirectory } from './data-directory.ts';
import { NameServerReigns } from './nameserver-reigns.ts';
import { Reign } from './reign.ts';
import type { ReignSource } from './reign-source.ts';
import { defaultShards } from './thread-plan.ts';

/** What a program may say; everything has a default. */
export type BrokerOptions = {
  /** Directory of all files; default `./sluice-data`. */
  readonly dataDir?: string;
  /** Keep everything in memory and write no files: for tests. */
  readonly memory?: boolean;
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string;
  /** Port of WebSocket and HTTP; default 0: a free one. */
  readonly port?: number;
  /** Any other setting of docs/CONFIG.md. */
  readonly config?: Partial<BrokerConfig>;
  /** Where the broker reports changes of state; default: nowhere. */
  readonly log?: Logger;
};

/** What is known once the broker takes requests: the `ready` event of `sluice up --json`. */
export type BrokerReady = {
  /** `all`: a broker of one, without replication. */
  readonly role: 'all' | 'master' | 'slave';
  /** Number of its reign, or of its master's. */
  readonly epoch: number;
  /** `host:port` where slaves find it; null when none can. */
  readonly ha: string | null;
  readonly pid: number;
  /** `ws://host:port` */
  readonly ws: string;
  /** `http://host:port` */
  readonly http: string;
  /** `host:port` of RocketMQ's clients; null when it has no such port. */
  readonly remoting: string | null;
  /** Absolute path; null in memory. */
  readonly dataDir: string | null;
  readonly transport: TransportName;
  /** Why this transport, one sentence. */
  readonly transportReason: string;
  readonly shards: number;
  readonly flush: 'sync' | 'async';
};

/** A running broker. */
export interface Broker extends AsyncDisposable {
  readonly ready: BrokerReady;
  /** Registers it with further NameServers, `host:port`, beside those of its configuration. */
  registerWith(nameServers: readonly string[]): void;
  /** Takes no new work, finishes what is under way, flushes, writes snapshots, and closes. */
  drain(): Promise<void>;
  /** Closes at once; nothing that was acknowledged is lost. */
  close(): Promise<void>;
  /** Resolves when it is closed, for whatever reason. */
  readonly closed: Promise<void>;
}

/** Bytes that a broker in memory keeps at most. */
const MEMORY_CAPACITY_BYTES: number = 1024 * MIB;
/** Sizes of a broker in memory, where the configuration does not say otherwise: small, for tests start many. */
const MEMORY_SIZES = { tailBytes: 16 * MIB, segmentBytes: 16 * MIB } as const;

/**
 * Starts a broker in this process and resolves when it takes requests.
 *
 * @throws INVALID_ARGUMENT for a wrong setting, a port in use or a directory in use; RECORD_CORRUPT when parts of the log are
 *   missing; STORAGE_IO, STORAGE_FULL
 * @example
 * const broker = await createBroker({ memory: true });
 * const client = await connect({ servers: [broker.ready.ws] });
 */
export async function createBroker(options: BrokerOptions = {}): Promise<Broker> {
  const memory = options.memory ?? options.config?.memory ?? false;
  const config = checkConfig({
    frontDoorPort: 0,
    autoCreateTopicEnable: true,
    ...(memory ? { ...MEMORY_SIZES, shards: 1 } : {}),
    ...options.config,
    memory,
    ...(options.dataDir === undefined ? {} : { storePathRootDir: options.dataDir }),
    ...(options.host === undefined ? {} : { listenAddress: options.host }),
    ...(options.port === undefined ? {} : { frontDoorPort: options.port }),
  });
  return startBroker(config, options.log ?? silentLogger);
}

/** The same for a configuration that was loaded and checked already. @throws as `createBroker` */
export async function startBroker(
  config: BrokerConfig,
  log: Logger,
  reignSource?: ReignSource,
  remotingPortDefault?: number,
): Promise<Broker> {
  checkExposure(config);
  checkSizes(config);
  const chunkBytes = Math.min(config.segmentBytes, config.tailBytes);
  const wanted = { shards: config.shards, segmentBytes: config.segmentBytes, chunkBytes };
  const directory = config.memory
    ? undefined
    : openDataDirectory(config.storePathRootDir, wanted, defaultShards(availableParallelism()));
  try {
    const reign = directory === undefined || !hasReplication(config) ? undefined : directory;
    const reigns = new NameServerReigns();
    const source = reignSource ?? reigns;
    const broker = new RunningBroker({
      ...(reign === undefined
        ? {}
        : {
            reign: (hooks) => new Reign({ config, directory: reign, log, source, ...hooks }),
          }),
      config,
      directory,
      log,
      clock: systemClock,
      memoryCapacityBytes: MEMORY_CAPACITY_BYTES,
      remotingPortDefault,
      onReignNews: (news) => reigns.hear(news),
    });
    await broker.start();
    return broker;
  } catch (error) {
    directory?.release();
    throw error;
  }
}

/** A door to the world needs a key. */
function checkExposure(config: BrokerConfig): void {
  if (isLoopback(config.listenAddress) || config.insecureIUnderstand) return;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `listenAddress ${config.listenAddress} can be reached from other machines, and this broker has no TLS`,
    {
      hint:
        config.authToken === undefined
          ? 'Listen on 127.0.0.1; or set authToken, put a TLS proxy in front, and say insecureIUnderstand.'
          : 'Put a TLS proxy in front, so that the token is not readable on the network, and say insecureIUnderstand.',
    },
  );
}

/** The largest message must fit everywhere it goes, and to a slave the largest batch that its master may have. */
function checkSizes(config: BrokerConfig): void {
  const runBytes = RUN_BYTES_MAX + REPLICATE_RUN;
  if (hasReplication(config) && ringPayloadMax(config.ringBytes) < runBytes) {
    const text = `ringBytes is ${config.ringBytes}, and with replication a ring holds records of ${runBytes} bytes`;
    throw new SluiceError('INVALID_ARGUMENT', text, {
      hint: 'Raise ringBytes to 16MiB, its default.',
    });
  }
  const largest = STORED_BYTES_MAX - BATCH_BYTES_MAX + config.maxMessageSize + 64 * 1024;
  const places = {
    tailBytes: config.tailBytes,
    segmentBytes: config.segmentBytes,
    ringBytes: ringPayloadMax(config.ringBytes),
  };
  for (const [name, bytes] of Object.entries(places)) {
    if (bytes >= largest) continue;
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `a message of maxMessageSize ${config.maxMessageSize} does not fit: ${name} allows ${bytes} bytes of ${largest}`,
      {
        hint: `Raise ${name}, or lower maxMessageSize.`,
      },
    );
  }
}
