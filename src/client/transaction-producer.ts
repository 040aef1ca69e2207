/**
 * Transactions: a message is stored unseen, the caller does its own work, and then the message is committed or rolled back. A
 * caller that dies in between is asked for, by any producer of the same group. Browser-safe.
 */
import { checkArgument } from '../base/assert.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { checkGroupName } from '../base/names.ts';
import type { CheckEvent, WireReceipt } from '../protocol/web/messages.ts';
import type { AnyAnswer } from './answers.ts';
import type { Connection } from './connection.ts';
import { type FetchedMessage, readMessage } from './fetched-message.ts';
import type { Link } from './link.ts';
import { checkMessage } from './outgoing.ts';
import type { LinkMember, Reach } from './reach.ts';
import type { OutgoingMessage, WaitOptions } from './types.ts';

/** What became of a transaction; `unknown`: not decided yet, ask again later. */
export type Decision = 'commit' | 'rollback' | 'unknown';
/** What holds for a half message, whoever decided it. */
export type TransactionOutcome = 'committed' | 'rolledBack' | 'notFound';
/** A message whose transaction the broker asks about. */
export type QuestionedMessage = FetchedMessage & {
  /** How often it was asked about, this time counted. */
  readonly checks: number;
};

/** Who a producer of transactions is, and how it answers for its group. */
export type TransactionProducerOptions = {
  /** Producer group: every member must be able to answer for messages of every other. */
  readonly group: string;
  /**
   * Called with half messages that nobody has ended in time: of this producer or of another one of the group, in this process
   * or one before. What it throws counts as `unknown`.
   */
  readonly check: (message: QuestionedMessage) => Decision | Promise<Decision>;
};

/** A message that is stored and that nobody sees yet. */
export class HalfMessage {
  /** 32 hex digits that name it: also for `sluice admin transactions settle`. */
  readonly messageId: string;
  readonly topic: string;
  readonly queueId: number;
  readonly #link: Link;
  readonly #group: string;

  /** @internal */
  constructor(link: Link, group: string, topic: string, { messageId, queueId }: WireReceipt) {
    this.#link = link;
    this.#group = group;
    this.topic = topic;
    this.messageId = messageId;
    this.queueId = queueId;
  }

  /**
   * Makes it visible.
   *
   * @returns `committed`, or what was decided before
   * @throws TIMEOUT, DISCONNECTED (outcome unknown: call again, or leave it to `check`)
   */
  commit(options?: WaitOptions): Promise<TransactionOutcome> {
    return endTransaction(this.#link, this.#group, this.messageId, 'commit', options);
  }

  /** Throws it away. @returns `rolledBack`, or what was decided before @throws as `commit` */
  rollback(options?: WaitOptions): Promise<TransactionOutcome> {
    return endTransaction(this.#link, this.#group, this.messageId, 'rollback', options);
  }
}

/**
 * Sends messages that are seen only if the caller's own work succeeded.
 *
 * @promise a message that was committed is delivered; one that was rolled back never is
 */
export class TransactionProducer implements LinkMember, AsyncDisposable {
  readonly #reach: Reach;
  readonly #options: TransactionProducerOptions;
  #turn = 0;

  /** Made by `client.transactionProducer()`. @internal */
  constructor(reach: Reach, options: TransactionProducerOptions) {
    checkGroupName(options.group);
    checkArgument(typeof options.check === 'function', 'a transaction producer needs a check');
    this.#reach = reach;
    this.#options = options;
  }

  /**
   * Stores a message that nobody sees yet.
   *
   * @throws as `producer.send`; a message whose outcome is unknown is asked about later
   */
  async send(message: OutgoingMessage, options: WaitOptions = {}): Promise<HalfMessage> {
    checkMessage(message);
    const { topic, body, key, tag, properties } = message;
    checkArgument(
      message.delayMs === undefined && message.deliverAt === undefined,
      'a message of a transaction has no time of its own',
    );
    const links = await this.#reach.brokersOf(topic, options.timeoutMs);
    const link = links[this.#turn++ % links.length];
    if (link === undefined) throw new SluiceError('TOPIC_NOT_FOUND');
    const request = {
      ...({
        op: 'send',
        topic,
        body: body as never,
        transactionGroup: this.#options.group,
      } as const),
      ...(key === undefined ? {} : { key }),
      ...(tag === undefined ? {} : { tag }),
      ...(properties === undefined ? {} : { properties }),
    };
    const answer = await link.request(request, options);
    const [receipt] = (answer['receipts'] ?? []) as readonly WireReceipt[];
    if (receipt?.half !== true)
      throw new SluiceError('BAD_FRAME', 'a half message was answered by no receipt of one');
    return new HalfMessage(link, this.#options.group, topic, receipt);
  }

  /**
   * Stores a message, does the work, and commits; when the work throws, rolls back and throws the same.
   *
   * @param work - may say `rollback`, or `unknown` to leave it to `check`; default `commit`
   * @returns what holds for the message; undefined when it is left to `check`
   * @example await tx.run({ topic: 'orders', body: order }, () => database.insert(order));
   */
  async run(
    message: OutgoingMessage,
    work: (half: HalfMessage) => Promise<unknown> | unknown,
    options?: WaitOptions,
  ): Promise<TransactionOutcome | undefined> {
    const half = await this.send(message, options);
    let decision: unknown;
    try {
      decision = await work(half);
    } catch (error) {
      // Should this fail too, the broker asks, and the check says what became of the work.
      await half.rollback(options).catch(() => {});
      throw error;
    }
    if (decision === 'unknown') return undefined;
    return decision === 'rollback' ? half.rollback(options) : half.commit(options);
  }

  /** Answers no more questions. Half messages of its own that are not ended are asked about elsewhere. */
  close(): Promise<void> {
    this.#reach.removeMember(this);
    return Promise.resolve();
  }

  /** Closes, at the end of an `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal */
  up(_connection: Connection, link: Link): void {
    // As text: questions come in the form in which they were asked for. Another connection asks again.
    link
      .request({ op: 'checkTransactions', group: this.#options.group }, { asText: true })
      .catch((thrown: unknown) => {
        const error = toSluiceError(thrown);
        if (error.code === 'CLOSED' || error.code === 'DISCONNECTED') return;
        this.#reach.options.onStatus({ type: 'protocol-error', error });
      });
  }

  /** @internal */
  down(): void {
    // The next connection is told anew.
  }

  /** @internal */
  progress(): void {
    // Nothing waits for room.
  }

  /** @internal */
  closed(): void {
    // Nothing is left to end.
  }

  /** @internal */
  asked(question: AnyAnswer, link: Link): void {
    if (question['group'] !== this.#options.group) return;
    void this.#answer(question as unknown as CheckEvent, link);
  }

  /** Never rejects: what cannot be answered now is asked again. */
  async #answer(question: CheckEvent, link: Link): Promise<void> {
    try {
      const message = { ...readMessage(question), checks: question.checks };
      const decision = await this.#options.check(message);
      if (decision === 'commit' || decision === 'rollback')
        await endTransaction(
          ...([link, this.#options.group, question.messageId, decision, undefined] as const),
        );
    } catch (error) {
      this.#reach.options.onStatus({ type: 'check-failed', error: toSluiceError(error) });
    }
  }
}

async function endTransaction(
  link: Link,
  group: string,
  messageId: string,
  decision: 'commit' | 'rollback',
  options: WaitOptions | undefined,
): Promise<TransactionOutcome> {
  const answer = await link.request({ op: 'endTransaction', messageId, decision, group }, options);
  const { outcome } = answer;
  if (outcome === 'committed' || outcome === 'rolledBack' || outcome === 'notFound') return outcome;
  throw new SluiceError('BAD_FRAME', 'the answer to "endTransaction" has no outcome');
}
