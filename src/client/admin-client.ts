/** Operators' requests over HTTP, on the port of the broker that the client is connected to. Browser-safe. */
import { type ErrorBody, SluiceError, toSluiceError } from '../base/errors.ts';
import type { JsonValue, SeekTo, WireMessage } from '../protocol/web/messages.ts';
import { type FetchedMessage, readMessage } from './fetched-message.ts';

/** What happens to a send when the disk is full. */
export type WhenFull = 'refuse' | 'drop-oldest' | 'drop-consumed';

/** A topic to be created; what is left out is as the broker is configured. */
export type CreateTopic = {
  readonly topic: string;
  /** Number of queues. */
  readonly queues?: number;
  readonly retentionMs?: number;
  /** Bytes kept per queue. */
  readonly retentionBytes?: number;
  readonly whenFull?: WhenFull;
};

/** A group to be created or changed; what is left out is as the broker is configured. */
export type PutGroup = {
  readonly group: string;
  /** Deliveries before a message goes to the dead-letter topic. */
  readonly maxAttempts?: number;
  /** Milliseconds before attempt 2, 3, …; the last one repeats. */
  readonly retryBackoffMs?: readonly number[];
};

/** A JSON object of the broker, as docs/PROTOCOL.md, section 4, describes it. */
export type AdminAnswer = { readonly [name: string]: JsonValue };

/** How long to wait for the answer to an operator's request. */
export type AdminOptions = {
  readonly signal?: AbortSignal;
  /** Milliseconds until TIMEOUT; default 30,000. The request may have been carried out all the same. */
  readonly timeoutMs?: number;
};

const TIMEOUT_MS_DEFAULT = 30_000;

const part = encodeURIComponent;

/** What operators ask: topics, groups, offsets, dead letters, single messages. Found as `client.admin`. */
export class AdminClient {
  readonly #baseUrl: () => string | Promise<string>;
  readonly #token: string | undefined;

  /** @internal */
  constructor(baseUrl: () => string | Promise<string>, token: string | undefined) {
    this.#baseUrl = baseUrl;
    this.#token = token;
  }

  /** Name, version, uptime, transport, flush mode, shards with their positions, limits. */
  broker(options?: AdminOptions): Promise<AdminAnswer> {
    return this.#ask('GET', '/api/broker', undefined, options);
  }

  /** All topics with their settings. */
  topics(options?: AdminOptions): Promise<AdminAnswer> {
    return this.#ask('GET', '/api/topics', undefined, options);
  }

  /** One topic with its queues: offsets, messages, last store time, retention. */
  topic(topic: string, options?: AdminOptions): Promise<AdminAnswer> {
    return this.#ask('GET', `/api/topics/${part(topic)}`, undefined, options);
  }

  /** @throws TOPIC_EXISTS when it exists with other settings */
  createTopic(topic: CreateTopic, options?: AdminOptions): Promise<AdminAnswer> {
    return this.#ask('POST', '/api/topics', topic, options);
  }

  /** Deletes a topic with its messages. @throws TOPIC_NOT_FOUND */
  deleteTopic(topic: string, options?: AdminOptions): Promise<AdminAnswer> {
    return this.#ask('DELETE', `/api/topics/${part(topic)}`, undefined, options);
  }

  /** All groups. */
  groups(options?: AdminOptions): Promise<AdminAnswer> {
    return this.#ask('GET', '/api/groups', undefined, options);
  }

  /** One group with members and, per queue, acked-through, lag, in flight, retrying, dead. */
  group(group: string, options?: AdminOptions): Promise<AdminAnswer> {
    return this.#ask('GET', `/api/groups/${part(group)}`, undefined, options);
  }

  /** Creates a group, or changes its settings. */
  putGroup(group: PutGroup, options?: AdminOptions): Promise<AdminAnswer> {
    return this.#ask('POST', '/api/groups', group, options);
  }

  /** @throws GROUP_IN_USE while it has members */
  deleteGroup(group: string, options?: AdminOptions): Promise<AdminAnswer> {
    return this.#ask('DELETE', `/api/groups/${part(group)}`, undefined, options);
  }

  /** Sets where a group goes on; with `dryRun` only says what that would do. Answers before and after per queue. */
  resetOffsets(
    group: string,
    reset: { readonly topic: string; readonly to: SeekTo; readonly dryRun?: boolean },
    options?: AdminOptions,
  ): Promise<AdminAnswer> {
    return this.#ask('POST', `/api/groups/${part(group)}/offsets`, reset, options);
  }

  /** Sends dead letters of a group to the topics they came from. */
  redrive(
    group: string,
    redrive: { readonly max?: number } = {},
    options?: AdminOptions,
  ): Promise<AdminAnswer> {
    return this.#ask('POST', `/api/groups/${part(group)}/redrive`, redrive, options);
  }

  /** @throws MESSAGE_NOT_FOUND */
  async message(messageId: string, options?: AdminOptions): Promise<FetchedMessage> {
    const answer = await this.#ask('GET', `/api/messages/${part(messageId)}`, undefined, options);
    return readMessage(answer as unknown as WireMessage);
  }

  /** Messages with this key, newest first, at most 64. */
  async messagesByKey(
    topic: string,
    key: string,
    options?: AdminOptions,
  ): Promise<readonly FetchedMessage[]> {
    const path = `/api/topics/${part(topic)}/messages?key=${part(key)}`;
    const answer = await this.#ask('GET', path, undefined, options);
    const messages = answer['messages'];
    if (!Array.isArray(messages))
      throw new SluiceError('BAD_FRAME', 'the broker answered without messages');
    return (messages as unknown as WireMessage[]).map(readMessage);
  }

  async #ask(
    method: string,
    path: string,
    body: unknown,
    options: AdminOptions | undefined,
  ): Promise<AdminAnswer> {
    const url = (await this.#baseUrl()) + path;
    const timeoutMs = options?.timeoutMs ?? TIMEOUT_MS_DEFAULT;
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal =
      options?.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
    let response: Response;
    let text: string;
    try {
      response = await fetch(url, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal,
      });
      text = await response.text();
    } catch (error) {
      if (options?.signal?.aborted === true) throw options.signal.reason;
      if (timeout.aborted)
        throw new SluiceError(
          'TIMEOUT',
          `${method} ${url} was not answered within ${timeoutMs} ms`,
        );
      throw new SluiceError('DISCONNECTED', `${method} ${url} failed`, { cause: error });
    }
    let value: unknown;
    try {
      value = text === '' ? {} : JSON.parse(text);
    } catch (error) {
      throw toSluiceError(
        new SluiceError('BAD_FRAME', `${method} ${url} answered ${response.status} without JSON`, {
          cause: error,
        }),
      );
    }
    if (response.ok) return value as AdminAnswer;
    const refusal = (value as { error?: Partial<ErrorBody> }).error;
    throw refusal === undefined
      ? new SluiceError('BAD_FRAME', `${method} ${url} answered ${response.status}`)
      : SluiceError.fromBody(refusal);
  }
}
