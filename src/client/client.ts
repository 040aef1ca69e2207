/**
 * The client: one link to the brokers, shared by its producers and consumers, and the requests that belong to neither.
 * Made by `connect` of the doors. Browser-safe.
 */
import { checkArgument } from '../base/assert.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import type { SeekTo } from '../protocol/web/messages.ts';
import { AdminClient, type AdminOptions, type CreateTopic } from './admin-client.ts';
import { readCount, readTopic } from './answers.ts';
import { consumerWorks } from './cluster-consumer.ts';
import { Consumer } from './consumer.ts';
import { consumerSettings } from './consumer-settings.ts';
import {
  type CancelDelayedOptions,
  type Cancelled,
  cancelDelayed,
  type DelayedList,
  type DelayedOptions,
  listDelayed,
} from './delayed.ts';
import { type FetchedMessage, readFetched } from './fetched-message.ts';
import type { Link } from './link.ts';
import { Producer } from './producer.ts';
import { ProducerCore } from './producer-core.ts';
import { ProducerOutbox } from './producer-outbox.ts';
import { producerSettings } from './producer-settings.ts';
import type { Reach } from './reach.ts';
import { httpUrlOf } from './servers.ts';
import type { StatusHub } from './status-hub.ts';
import { TransactionProducer, type TransactionProducerOptions } from './transaction-producer.ts';
import type {
  ConsumerOptions,
  FetchOptions,
  ProducerOptions,
  StatusEvent,
  WaitOptions,
} from './types.ts';

/** Milliseconds that `drain` waits by default. */
const DRAIN_TIMEOUT_MS = 25_000;

/** A topic as a broker describes it. */
export type TopicInfo = {
  readonly topic: string;
  readonly topicId: number;
  /** Number of queues. */
  readonly queues: number;
};

/** Messages of a queue, read by offset. */
export type Fetched = {
  readonly messages: readonly FetchedMessage[];
  /** Where the next fetch goes on. */
  readonly nextOffset: number;
  /** First message that the queue still has. */
  readonly minOffset: number;
  /** One past its last message. */
  readonly maxOffset: number;
};

/**
 * A connection to SluiceMQ that lasts: it reconnects by itself until it is closed.
 *
 * @example
 * await using client = await connect({ servers: 'ws://127.0.0.1:8880' });
 * const receipt = await client.producer().send({ topic: 'orders', body: { total: 12 } });
 */
export class Client implements AsyncDisposable {
  /** Resolves when the client is closed: with nothing after `close`, with the error when a broker refused it for good. Never rejects. */
  readonly closed: Promise<SluiceError | undefined>;
  /** Topics, groups and messages, for operators. */
  readonly admin: AdminClient;
  readonly #reach: Reach;
  readonly #status: StatusHub;
  readonly #producers = new Set<Producer>();
  readonly #consumers = new Set<Consumer>();
  #draining: Promise<void> | undefined;

  /** @internal */
  constructor(reach: Reach, status: StatusHub) {
    this.#reach = reach;
    this.#status = status;
    this.admin = new AdminClient(async () => {
      if (reach.isSingle) return httpUrlOf(reach.server);
      const [first] = await reach.masters();
      if (first === undefined) throw noMaster();
      return httpUrlOf(first.server);
    }, reach.options.token);
    this.closed = new Promise((resolve) => {
      status.listen((event) => {
        if (event.type === 'closed') resolve(event.error);
      });
    });
  }

  /** Is there a connection at this moment? */
  get isConnected(): boolean {
    return this.#reach.isConnected;
  }

  /** The broker that is connected to, or was tried last; in a cluster one of them, or a NameServer. */
  get server(): string {
    return this.#reach.server;
  }

  /**
   * A producer of its own identity and memory.
   *
   * @throws INVALID_ARGUMENT, CLOSED
   */
  producer(options: ProducerOptions = {}): Producer {
    this.#checkOpen();
    const reach = this.#reach;
    const core = new ProducerCore(reach, producerSettings(options, reach.runtime));
    if (options.outbox !== undefined) {
      checkArgument(
        reach.isSingle,
        'an outbox belongs to one broker: it does not go with nameServers',
        'Connect with servers.',
      );
      core.outbox = new ProducerOutbox(core, options.outbox);
      // Never rejects.
      void core.outbox.open();
    }
    reach.addMember(core);
    const producer = new Producer(core, () => this.#producers.delete(producer));
    this.#producers.add(producer);
    return producer;
  }

  /**
   * A producer whose messages are seen when they are committed.
   *
   * @throws INVALID_ARGUMENT, INVALID_NAME, CLOSED
   */
  transactionProducer(options: TransactionProducerOptions): TransactionProducer {
    this.#checkOpen();
    const producer = new TransactionProducer(this.#reach, options);
    this.#reach.addMember(producer);
    return producer;
  }

  /**
   * A member of a consumer group. It subscribes with its first use: `for await`, `batches`, `run` or `ready`.
   *
   * @throws INVALID_ARGUMENT, INVALID_NAME, CLOSED
   */
  consumer(options: ConsumerOptions): Consumer {
    this.#checkOpen();
    const reach = this.#reach;
    const core = consumerWorks(reach, consumerSettings(options, reach.options.name));
    const consumer = new Consumer(core, () => this.#consumers.delete(consumer));
    this.#consumers.add(consumer);
    return consumer;
  }

  /**
   * Describes a topic, and creates it where the broker creates topics by itself.
   *
   * @param options.create - false: never create it
   * @throws TOPIC_NOT_FOUND, INVALID_NAME, TIMEOUT, CLOSED
   */
  async topic(
    topic: string,
    options: WaitOptions & { readonly create?: boolean } = {},
  ): Promise<TopicInfo> {
    const { create } = options;
    const links = await this.#reach.brokersOf(topic, options.timeoutMs);
    const answers = await Promise.all(
      links.map(async (link) =>
        readTopic(
          await link.request(
            { op: 'topic', topic, ...(create === undefined ? {} : { create }) },
            options,
          ),
        ),
      ),
    );
    const queues = answers.reduce((sum, answer) => sum + answer.queues, 0);
    return { topic, topicId: answers[0]?.topicId ?? 0, queues };
  }

  /**
   * Reads messages by offset, without a group: nothing is acked, nothing is given to anybody else.
   *
   * @throws TOPIC_NOT_FOUND, QUEUE_NOT_FOUND, OFFSET_OUT_OF_RANGE, TIMEOUT, CLOSED
   */
  async fetch(options: FetchOptions): Promise<Fetched> {
    const { topic, queueId, offset, max, waitMs = 0, signal } = options;
    const timeoutMs = options.timeoutMs ?? this.#reach.options.requestTimeoutMs + waitMs;
    const link = await this.#linkFor(options);
    // As JSON text: a body may be nested deeper than CONTROL frames go.
    const answer = await link.request(
      { op: 'fetch', topic, queueId, offset, ...(max === undefined ? {} : { max }), waitMs },
      { signal, timeoutMs, asText: true },
    );
    return {
      messages: readFetched(answer),
      nextOffset: readCount(answer, 'nextOffset'),
      minOffset: readCount(answer, 'minOffset'),
      maxOffset: readCount(answer, 'maxOffset'),
    };
  }

  /**
   * Sets where a group goes on.
   *
   * @throws TOPIC_NOT_FOUND, GROUP_NOT_FOUND, TIMEOUT, CLOSED
   */
  async seek(
    target: { readonly topic: string; readonly group: string; readonly to: SeekTo },
    options?: WaitOptions,
  ): Promise<void> {
    const { topic, group, to } = target;
    const links = await this.#reach.brokersOf(topic, options?.timeoutMs);
    await Promise.all(links.map((link) => link.request({ op: 'seek', topic, group, to }, options)));
  }

  /**
   * Messages of a topic that wait for their time.
   *
   * @throws TOPIC_NOT_FOUND, TIMEOUT, CLOSED
   */
  async delayed(options: DelayedOptions): Promise<DelayedList> {
    return listDelayed(await this.#reach.brokersOf(options.topic, options.timeoutMs), options);
  }

  /**
   * Cancels messages that wait for their time.
   *
   * @promise with the outcome `cancelled` they are not delivered, whatever happens to the broker
   * @throws INVALID_ARGUMENT, TOPIC_NOT_FOUND, TIMEOUT (outcome unknown: ask again), CLOSED
   * @example const { outcome } = await client.cancelDelayed({ topic: 'orders', key: 'o-17' });
   */
  async cancelDelayed(options: CancelDelayedOptions): Promise<Cancelled> {
    return cancelDelayed(await this.#reach.brokersOf(options.topic, options.timeoutMs), options);
  }

  /** Names of the brokers that take messages: of the one that is connected to, or of all masters of the cluster. */
  async brokers(): Promise<readonly string[]> {
    return (await this.#reach.masters()).map((link) => link.brokerName);
  }

  /**
   * Creates a topic on the brokers of this name, or on all masters.
   *
   * @returns the names of the brokers that have it now
   * @throws TOPIC_EXISTS where it exists with other settings, INVALID_ARGUMENT for a broker that is not there, DISCONNECTED
   */
  async createTopic(
    topic: CreateTopic,
    options: AdminOptions & { readonly brokers?: readonly string[] } = {},
  ): Promise<readonly string[]> {
    const masters = await this.#reach.masters();
    const wanted = options.brokers;
    const chosen = masters.filter((link) => wanted?.includes(link.brokerName) ?? true);
    const names = masters.map((link) => link.brokerName).join(', ');
    for (const name of wanted ?? [])
      checkArgument(
        chosen.some((link) => link.brokerName === name),
        `no broker ${name} is a master here; there are: ${names}`,
      );
    if (chosen.length === 0) throw noMaster();
    await Promise.all(chosen.map((link) => this.#adminAt(link).createTopic(topic, options)));
    return chosen.map((link) => link.brokerName);
  }

  /** Topics, groups and messages of one broker of a cluster. @throws INVALID_ARGUMENT when it is not there, DISCONNECTED */
  async adminOf(broker: string): Promise<AdminClient> {
    const link = (await this.#reach.masters()).find((one) => one.brokerName === broker);
    checkArgument(link !== undefined, `no broker ${broker} is a master here`);
    return this.#adminAt(link);
  }

  /** Milliseconds to the broker and back; in a cluster, to the slowest master. @throws TIMEOUT, CLOSED */
  async ping(options?: WaitOptions): Promise<number> {
    const { clock } = this.#reach.runtime;
    const links = await this.#reach.masters();
    const start = clock.monotonicMs();
    await Promise.all(links.map((link) => link.request({ op: 'ping' }, options)));
    return clock.monotonicMs() - start;
  }

  /** Calls `listener` for every status event; it must not throw. @returns stops that */
  onStatus(listener: (event: StatusEvent) => void): () => void {
    return this.#status.listen(listener);
  }

  /** The status events from now on; ends when the client is closed. A slow reader loses the oldest. */
  status(): AsyncIterableIterator<StatusEvent> {
    return this.#status.iterate();
  }

  /**
   * Ends in order: consumers take no more and finish what they have, producers send what they were given, then all is closed.
   *
   * @param options.timeoutMs - milliseconds until it is closed anyway; default 25,000
   * @throws what producers could not send
   */
  drain(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#draining ??= this.#drain(options.timeoutMs ?? DRAIN_TIMEOUT_MS);
    return this.#draining;
  }

  /** Ends now: what is not answered fails with CLOSED, whatever was being retried. Harmless when closed already. */
  async close(): Promise<void> {
    this.#reach.close(new SluiceError('CLOSED', 'the client was closed'), true);
    // They are closed by that; an outbox still writes down what it was given last.
    await Promise.allSettled([...this.#producers].map((producer) => producer.close()));
    await this.closed;
  }

  /** Drains, at the end of an `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.drain();
  }

  async #drain(timeoutMs: number): Promise<void> {
    const { clock } = this.#reach.runtime;
    const end = clock.monotonicMs() + timeoutMs;
    const left = (): number => Math.max(0, end - clock.monotonicMs());
    let failure: unknown;
    // Consumers first: their handlers may still send.
    await Promise.all(
      [...this.#consumers].map((consumer) => consumer.drain({ timeoutMs: left() })),
    );
    const closing = [...this.#producers].map((producer) => producer.close({ timeoutMs: left() }));
    for (const result of await Promise.allSettled(closing))
      if (result.status === 'rejected') failure ??= result.reason;
    await this.close();
    if (failure !== undefined) throw toSluiceError(failure);
  }

  #adminAt(link: Link): AdminClient {
    return new AdminClient(async () => httpUrlOf(link.server), this.#reach.options.token);
  }

  /** The broker whose queue is meant. */
  async #linkFor({ topic, broker, timeoutMs }: FetchOptions): Promise<Link> {
    const links = await this.#reach.brokersOf(topic, timeoutMs);
    const chosen =
      broker === undefined ? links : links.filter((link) => link.brokerName === broker);
    const [link] = chosen;
    const names = links.map((one) => one.brokerName).join(', ');
    checkArgument(
      link !== undefined && chosen.length === 1,
      `the topic ${topic} is on the brokers ${names}; fetch wants one of them as broker`,
    );
    return link;
  }

  #checkOpen(): void {
    if (this.#reach.closedBy !== undefined) throw this.#reach.closedError();
    if (this.#draining !== undefined) throw new SluiceError('DRAINING', 'the client is draining');
  }
}

function noMaster(): SluiceError {
  return new SluiceError('DISCONNECTED', 'the NameServers know no master', {
    hint: 'Are brokers running with these NameServers as their namesrvAddr? See: sluice admin clusterList',
  });
}
