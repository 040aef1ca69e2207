/**
 * `ali-ons`, the client of RocketMQ on npm, under test: what of it tests use, with the types that it lacks, and clients that
 * ask a NameServer of the test and find changes soon.
 */
import { createRequire } from 'node:module';
import { SluiceError } from '../base/errors.ts';

export type AliMessage = {
  readonly topic: string;
  tags: string;
  /** Written as a list, read as words. */
  keys: string | readonly string[];
  readonly body: Buffer;
  readonly msgId: string;
  readonly queueId: number;
  readonly queueOffset: number;
  readonly reconsumeTimes: number;
  readonly properties: Record<string, string>;
  shardingKey: string;
  delayTimeLevel: number;
};

export type AliSendResult = {
  readonly sendStatus: string;
  readonly msgId: string;
  readonly queueOffset: number;
  readonly messageQueue: { readonly queueId: number };
};

/** What it makes and speaks by. All of them take their listeners away when they are closed. */
type Emitter = {
  on(event: 'error', listener: (error: Error) => void): void;
  removeAllListeners(event?: string): Emitter;
};

/** The connections, shared by clients of one instance name. */
type Connections = Emitter & {
  invoke(address: string | null, command: object, timeoutMs?: number): Promise<object>;
};

type AliClient = Emitter & {
  readonly _mqClient: Connections;
  ready(): Promise<void>;
  close(): Promise<void>;
};

export type AliProducer = AliClient & {
  send(message: AliMessage): Promise<AliSendResult>;
};

export type AliConsumer = AliClient & {
  subscribe(
    topic: string,
    expression: string | { readonly expressionType: 'SQL92'; readonly subString: string },
    handler: (message: AliMessage) => Promise<unknown>,
  ): void;
};

type AliOptions = Readonly<Record<string, unknown>>;

type AliOns = {
  readonly Message: new (topic: string, tags: string, body: string | Buffer) => AliMessage;
  readonly Producer: {
    new (options: AliOptions): AliProducer;
    /** The one that consumers of the process share to send messages back; nobody closes it. */
    getDefaultProducer(options: AliOptions): Promise<AliProducer>;
  };
  readonly Consumer: {
    new (options: AliOptions): AliConsumer;
    /** What a handler returns for a message that it wants again. */
    readonly ACTION_RETRY: symbol;
  };
};

/** undefined where the package is not installed. */
export function loadAliOns(): AliOns | undefined {
  const required = createRequire(import.meta.url);
  try {
    return required('ali-ons') as AliOns;
  } catch {
    return undefined;
  }
}

const QUIET = { info() {}, warn() {}, error() {}, debug() {} };

/** Most of its limits are 3 s, and nobody can set them: too short for a machine that does other things too. */
const PATIENCE = 10;
const CONNECT_MS_MAX = 30_000;

/** Makes clients and closes them all. */
export class AliClients {
  /** What clients said on their `error` event. */
  readonly errors: Error[] = [];
  private readonly ons: AliOns;
  private readonly namesrv: string;
  private readonly clients: AliClient[] = [];
  private readonly prepared = new Set<Connections>();
  private shared: AliClient | undefined;

  private constructor(ons: AliOns, namesrv: string) {
    this.ons = ons;
    this.namesrv = namesrv;
  }

  /** Only once in a process. @param more - of the client by which consumers send messages back */
  static async start(ons: AliOns, namesrv: string, more: AliOptions = {}): Promise<AliClients> {
    const clients = new AliClients(ons, namesrv);
    const options = { ...clients.options('shared'), ...more };
    clients.shared = await ons.Producer.getDefaultProducer(options);
    clients.prepare(clients.shared);
    return clients;
  }

  /** @param instance - keeps the connections and the identity of two clients apart */
  async producer(group: string, instance: string, more: AliOptions = {}): Promise<AliProducer> {
    const options = { ...this.options(instance), producerGroup: group, ...more };
    const producer = this.watched(new this.ons.Producer(options));
    await producer.ready();
    return producer;
  }

  async consumer(group: string, instance: string, more: AliOptions = {}): Promise<AliConsumer> {
    const options = { ...this.options(instance), consumerGroup: group, ...more };
    const consumer = this.watched(new this.ons.Consumer(options));
    await consumer.ready();
    return consumer;
  }

  async close(client: AliClient): Promise<void> {
    const place = this.clients.indexOf(client);
    if (place >= 0) this.clients.splice(place, 1);
    await client.close();
  }

  async closeAll(): Promise<void> {
    for (const client of [...this.clients].reverse()) await this.close(client);
  }

  async end(): Promise<void> {
    await this.closeAll();
    if (this.shared !== undefined) await this.close(this.shared);
  }

  private watched<Client extends AliClient>(client: Client): Client {
    this.prepare(client);
    this.clients.push(client);
    return client;
  }

  private prepare(client: AliClient): void {
    this.listen(client);
    const connections = client._mqClient;
    if (this.prepared.has(connections)) return;
    this.prepared.add(connections);
    this.listen(connections);
    const { invoke } = connections;
    connections.invoke = (address, command, timeoutMs = 0) =>
      invoke.call(connections, address, command, timeoutMs * PATIENCE);
  }

  /** What was under way when a client was closed still dials, and fails: an error that nobody listens to ends the process. */
  private listen(emitter: Emitter): void {
    const { removeAllListeners } = emitter;
    const listen = (): void => emitter.on('error', (error) => this.errors.push(error));
    emitter.removeAllListeners = (event) => {
      removeAllListeners.call(emitter, event);
      listen();
      return emitter;
    };
    listen();
  }

  private options(instance: string): AliOptions {
    return {
      nameSrv: this.namesrv,
      connectTimeout: CONNECT_MS_MAX,
      instanceName: instance,
      logger: QUIET,
      consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
      // It takes no word from brokers about others that came or went: it looks itself, every 10 to 30 s by default.
      rebalanceInterval: 200,
      pollNameServerInteval: 500,
      heartbeatBrokerInterval: 500,
      persistConsumerOffsetInterval: 200,
      // Asked for addresses of NameServers, where none are given.
      httpclient: {
        request: () => {
          throw new SluiceError('INVALID_ARGUMENT', 'the NameServer is given');
        },
      },
    };
  }
}
