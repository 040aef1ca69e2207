/**
 * What people ask about messages that wait for their time: which there are, and that some shall not come. Over all shards of
 * a topic; every dialect asks here.
 */
import { SluiceError } from '../base/errors.ts';
import { messageIdOf, parseMessageId } from '../protocol/message-id.ts';
import type { CancelResult, DelayedList, TopicRecord } from '../protocol/shard-control.ts';
import type { DelayedTarget } from '../protocol/web/checked-requests.ts';
import type { CancelOutcome, DelayedMessage } from '../protocol/web/messages.ts';
import type { ShardLinks } from './shard-links.ts';
import type { TopicRegistry } from './topic-registry.ts';

export class Delayed {
  private readonly links: ShardLinks;
  private readonly topics: TopicRegistry;
  private readonly prefix: () => string;

  constructor(links: ShardLinks, topics: TopicRegistry, messageIdPrefix: () => string) {
    this.links = links;
    this.topics = topics;
    this.prefix = messageIdPrefix;
  }

  /**
   * Messages of a topic that wait, what is due first first.
   *
   * @throws TOPIC_NOT_FOUND, SHARD_RESTARTING, SHARD_FENCED
   */
  async list(
    topicName: string,
    key: string | undefined,
    max: number,
  ): Promise<{ messages: readonly DelayedMessage[]; waiting: number }> {
    const { topicId, ...topic } = this.topics.existing(topicName);
    const found = await Promise.all(
      this.links.ofTopic({ topicId, ...topic }).map(async (link) => {
        const request = { op: 'listDelayed', topicId, key: key ?? null, max } as const;
        const { messages, waiting } = await link.control<DelayedList>(request);
        return { waiting, messages: messages.map((one) => this.described(link.shard, one)) };
      }),
    );
    const messages = found
      .flatMap((one) => one.messages)
      .sort((one, other) => one.deliverAt - other.deliverAt)
      .slice(0, max);
    return { messages, waiting: found.reduce((sum, one) => sum + one.waiting, 0) };
  }

  /**
   * Cancels what waits. The answer is definite: what is said to be cancelled is not delivered, whatever happens.
   *
   * @throws TOPIC_NOT_FOUND, INVALID_ARGUMENT, SHARD_RESTARTING, SHARD_FENCED, NOT_MASTER
   */
  cancel(
    topicName: string,
    target: DelayedTarget,
  ): Promise<{ outcome: CancelOutcome; messageIds: readonly string[] }> {
    const topic = this.topics.existing(topicName);
    return 'key' in target
      ? this.cancelByKey(topic, target.key)
      : this.cancelById(topic, target.messageId);
  }

  private async cancelByKey(
    topic: TopicRecord,
    key: string,
  ): Promise<{ outcome: CancelOutcome; messageIds: readonly string[] }> {
    const { topicId } = topic;
    const results = await Promise.all(
      this.links.ofTopic(topic).map(async (link) => {
        const request = { op: 'cancelDelayed', topicId, key, place: -1 } as const;
        return { shard: link.shard, ...(await link.control<CancelResult>(request)) };
      }),
    );
    const outcomes = new Set(results.map(({ outcome }) => outcome));
    const outcome = outcomes.has('cancelled')
      ? 'cancelled'
      : outcomes.has('delivered')
        ? 'delivered'
        : 'notFound';
    return { outcome, messageIds: results.flatMap((result) => this.idsOf(result.shard, result)) };
  }

  private async cancelById(
    topic: TopicRecord,
    messageId: string,
  ): Promise<{ outcome: CancelOutcome; messageIds: readonly string[] }> {
    const address = parseMessageId(messageId);
    if (address === undefined)
      throw new SluiceError('INVALID_ARGUMENT', 'a message id has 32 hex digits', {
        hint: 'Give the messageId of the receipt of a delayed message.',
      });
    const link = this.links.all[address.shard];
    if (link === undefined) return { outcome: 'notFound', messageIds: [] };
    const { topicId } = topic;
    const request = { op: 'cancelDelayed', topicId, key: null, place: address.place } as const;
    const result = await link.control<CancelResult>(request);
    return { outcome: result.outcome, messageIds: this.idsOf(link.shard, result) };
  }

  private idsOf(shard: number, { cancelled }: CancelResult): string[] {
    return cancelled.map(({ origin, index }) => messageIdOf(this.prefix(), shard, origin, index));
  }

  private described(shard: number, one: DelayedList['messages'][number]): DelayedMessage {
    return {
      messageId: messageIdOf(this.prefix(), shard, one.origin, one.index),
      queueId: one.queueId,
      key: one.key === '' ? null : one.key,
      tag: one.tag === '' ? null : one.tag,
      deliverAt: one.deliverAt,
      bornAt: one.bornAt,
    };
  }
}
