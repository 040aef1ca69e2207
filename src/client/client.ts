/**
 * The client: one link to the brokers, shared by its producers and consumers, and the requests that belong to neither.
 * Made by `connect` of the doors. Browser-safe.
 */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import type { SeekTo } from '../protocol/web/messages.ts';
import { AdminClient } from './admin-client.ts';
import { readCount, readTopic } from './answers.ts';
import { Consumer } from './consumer.ts';
import { ConsumerCore } from './consumer-core.ts';
import { consumerSettings } from './consumer-settings.ts';
import { type FetchedMessage, readFetched } from './fetched-message.ts';
import type { Link } from './link.ts';
import { Producer } from './producer.ts';
import { ProducerCore } from './producer-core.ts';
import { ProducerOutbox } from './producer-outbox.ts';
import { producerSettings } from './producer-settings.ts';
import { httpUrlOf } from './servers.ts';
import type { StatusHub } from './status-hub.ts';
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
  readonly #link: Link;
  readonly #status: StatusHub;
  readonly #producers = new Set<Producer>();
  readonly #consumers = new Set<Consumer>();
  #draining: Promise<void> | undefined;

  /** @internal */
  constructor(link: Link, status: StatusHub) {
    this.#link = link;
    this.#status = status;
    this.admin = new AdminClient(() => httpUrlOf(link.server), link.options.token);
    this.closed = new Promise((resolve) => {
      status.listen((event) => {
        if (event.type === 'closed') resolve(event.error);
      });
    });
  }

  /** Is there a connection at this moment? */
  get isConnected(): boolean {
    return this.#link.connection !== undefined;
  }

  /** The server that is connected to, or was tried last. */
  get server(): string {
    return this.#link.server;
  }

  /**
   * A producer of its own identity and memory.
   *
   * @throws INVALID_ARGUMENT, CLOSED
   */
  producer(options: ProducerOptions = {}): Producer {
    this.#checkOpen();
    const link = this.#link;
    const core = new ProducerCore(link, producerSettings(options, link.runtime));
    if (options.outbox !== undefined) {
      core.outbox = new ProducerOutbox(core, options.outbox);
      // Never rejects.
      void core.outbox.open();
    }
    link.addMember(core);
    const producer = new Producer(core, () => this.#producers.delete(producer));
    this.#producers.add(producer);
    return producer;
  }

  /**
   * A member of a consumer group. It subscribes with its first use: `for await`, `batches`, `run` or `ready`.
   *
   * @throws INVALID_ARGUMENT, INVALID_NAME, CLOSED
   */
  consumer(options: ConsumerOptions): Consumer {
    this.#checkOpen();
    const link = this.#link;
    const core = new ConsumerCore(link, consumerSettings(options, link.options.name));
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
    const answer = await this.#link.request(
      { op: 'topic', topic, ...(create === undefined ? {} : { create }) },
      options,
    );
    const { topicId, queues } = readTopic(answer);
    return { topic, topicId, queues };
  }

  /**
   * Reads messages by offset, without a group: nothing is acked, nothing is given to anybody else.
   *
   * @throws TOPIC_NOT_FOUND, QUEUE_NOT_FOUND, OFFSET_OUT_OF_RANGE, TIMEOUT, CLOSED
   */
  async fetch(options: FetchOptions): Promise<Fetched> {
    const { topic, queueId, offset, max, waitMs = 0, signal } = options;
    const timeoutMs = options.timeoutMs ?? this.#link.options.requestTimeoutMs + waitMs;
    // As JSON text: a body may be nested deeper than CONTROL frames go.
    const answer = await this.#link.request(
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
    await this.#link.request({ op: 'seek', topic, group, to }, options);
  }

  /** Milliseconds to the broker and back. @throws TIMEOUT, CLOSED */
  async ping(options?: WaitOptions): Promise<number> {
    const { clock } = this.#link.runtime;
    const start = clock.monotonicMs();
    await this.#link.request({ op: 'ping' }, options);
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
    this.#link.close(new SluiceError('CLOSED', 'the client was closed'), true);
    // They are closed by that; an outbox still writes down what it was given last.
    await Promise.allSettled([...this.#producers].map((producer) => producer.close()));
    await this.closed;
  }

  /** Drains, at the end of an `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.drain();
  }

  async #drain(timeoutMs: number): Promise<void> {
    const { clock } = this.#link.runtime;
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

  #checkOpen(): void {
    if (this.#link.closedBy !== undefined) throw this.#link.closedError();
    if (this.#draining !== undefined) throw new SluiceError('DRAINING', 'the client is draining');
  }
}
