/**
 * Shards that start, stop and come back: what they were asked is answered, what they must know they are told. Main thread.
 */
import { type SluiceError, toSluiceError } from '../base/errors.ts';
import type { ShardEvent, ShardMetadata } from '../protocol/shard-control.ts';
import type { AcceptorCore } from './acceptor-core.ts';
import { Responder } from './responder.ts';
import type { ShardLink } from './shard-link.ts';
import type { ShardPort } from './shard-port.ts';

export class ShardLifecycle {
  private readonly core: AcceptorCore;

  constructor(core: AcceptorCore) {
    this.core = core;
  }

  /** @param metadata - of shard n at index n */
  async start(metadata: readonly ShardMetadata[]): Promise<void> {
    const [decided] = metadata;
    if (decided !== undefined) this.adopt(decided);
    await Promise.all(
      this.core.links.all.map(async (link) => {
        const theirs = metadata[link.shard];
        if (theirs !== undefined) await this.reconcile(link, theirs);
        link.caughtUp();
      }),
    );
  }

  /** The shard is gone: nothing that it was asked will be answered by it. */
  down(shard: number): void {
    const { core } = this;
    const link = core.links.get(shard);
    this.takeLastReplies(link);
    link.goDown();
    const error = link.refusal();
    core.pending.failShard(shard, error);
    for (const session of core.sessions.all()) {
      for (const [correlation, owner] of session.batches) {
        if (owner !== shard) continue;
        session.batches.delete(correlation);
        session.end();
        new Responder(session, 'binary', correlation, core.outbox, core.counters).refuse(error);
      }
    }
    core.subscriptions.forgetShard(shard);
    for (const subscription of core.subscriptions.all())
      core.deliveries.dropShard(subscription, shard);
  }

  /** The shard is back: topics and groups first, then clients, then the subscriptions that wait for it. */
  up(shard: number, port: ShardPort, metadata: ShardMetadata): void {
    const link = this.core.links.get(shard);
    link.comeBack(port);
    if (shard === 0) this.adopt(metadata);
    this.bringUp(link, port, metadata).catch((error: unknown) => {
      // Gone again meanwhile: its next return starts over.
      if (link.port !== port || !link.isReachable) return;
      this.core.log.error('shard-not-caught-up', { shard, error: toSluiceError(error) });
    });
  }

  /** What a shard reports that the acceptor itself acts on. */
  onEvent(event: ShardEvent): void {
    if (event.event !== 'needs-dead-letter-topic') return;
    const group = this.core.groups.get(event.groupId);
    if (group === undefined) return;
    this.core.topics.createDeadLetter(group).catch((error: SluiceError) => {
      this.core.log.warn('dead-letter-topic-failed', { group: group.group, error });
    });
  }

  /** What the shard had answered before it stopped is as good as any answer: it was safe when it was published. */
  private takeLastReplies(link: ShardLink): void {
    const { outbox, replies, log } = this.core;
    outbox.collect();
    try {
      replies.drain(link, Number.MAX_SAFE_INTEGER);
    } catch (error) {
      log.error('last-replies-lost', { shard: link.shard, error: toSluiceError(error) });
    } finally {
      outbox.flush();
    }
  }

  private adopt(metadata: ShardMetadata): void {
    this.core.topics.records.adopt(metadata.topics, metadata.topicIdMax);
    this.core.groups.records.adopt(metadata.groups, metadata.groupIdMax);
  }

  private async reconcile(link: ShardLink, metadata: ShardMetadata): Promise<void> {
    await Promise.all([
      this.core.topics.records.reconcile(link, metadata.topics),
      this.core.groups.records.reconcile(link, metadata.groups),
    ]);
  }

  private async bringUp(link: ShardLink, port: ShardPort, metadata: ShardMetadata): Promise<void> {
    await this.reconcile(link, metadata);
    if (link.port !== port || !link.isReachable) return;
    link.caughtUp();
    await this.core.subscriptions.reattach(link, (topicId) => this.core.topics.get(topicId));
  }
}
