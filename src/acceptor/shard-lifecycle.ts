/**
 * Shards that start, stop and come back: what they were asked is answered, what they must know they are told. Main thread.
 */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import type { MetadataChange, ShardEvent, ShardMetadata } from '../protocol/shard-control.ts';
import type { AcceptorCore } from './acceptor-core.ts';
import { takesNothingYet } from './record-registry.ts';
import { Responder, refusalBody } from './responder.ts';
import { CLOSE_GOING_AWAY } from './session.ts';
import type { ShardLink } from './shard-link.ts';
import type { ShardPort } from './shard-port.ts';

export class ShardLifecycle {
  private readonly core: AcceptorCore;
  /** Shards of a master that has not compared its log yet: they take their subscriptions later. */
  private readonly waiting = new Set<ShardLink>();

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
      this.notCaughtUp(link, error);
    });
  }

  /** This broker is a slave from now on, or is not: clients come again and are told. */
  setRole(isSlave: boolean): void {
    const { topics, groups, subscriptions, polls, sessions } = this.core;
    topics.records.follow(isSlave);
    groups.records.follow(isSlave);
    if (!isSlave) return;
    this.waiting.clear();
    polls.endAll();
    subscriptions.closeAll();
    for (const { connection } of sessions.all())
      connection.close(CLOSE_GOING_AWAY, 'this broker is a slave now');
  }

  /** This slave follows its master again: who consumes here is told where to go. @param master - undefined: not known */
  masterIsBack(master: string | undefined): void {
    const { subscriptions, polls, outbox, counters } = this.core;
    this.waiting.clear();
    polls.endAll();
    const where = master === undefined ? '' : `: ${master}`;
    const error = new SluiceError('NOT_MASTER', `the master of this log is back${where}`, {
      ...(master === undefined ? {} : { facts: { master } }),
      hint: 'Subscribe there; what was settled here it is told.',
    });
    for (const subscription of [...subscriptions.all()]) {
      const { sink, number } = subscription;
      subscriptions.close(subscription);
      if (sink.kind === 'poll') continue;
      const body = { ...refusalBody(error), subscription: number };
      new Responder(sink.session, sink.kind, undefined, outbox, counters).refuseBody(body);
    }
  }

  /** Tries again what a shard did not take yet. Called now and then. */
  retryWaiting(): void {
    for (const link of this.waiting) {
      this.waiting.delete(link);
      if (link.isRunning)
        this.reattach(link).catch((error: unknown) => this.notCaughtUp(link, error));
    }
  }

  /** What a shard reports that the acceptor itself acts on. */
  onEvent(shard: number, event: ShardEvent): void {
    if (event.event === 'metadata' && shard === 0) this.follow(event.change);
    if (event.event === 'check-half') this.core.transactions.onCheck(shard, event);
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
    await this.reattach(link);
  }

  private async reattach(link: ShardLink): Promise<void> {
    try {
      await this.core.subscriptions.reattach(link, (topicId) => this.core.topics.get(topicId));
    } catch (error) {
      // A slave's shard that has just opened does not know yet that it is alone.
      const isFollowing = error instanceof SluiceError && error.code === 'NOT_MASTER';
      if (!takesNothingYet(error) && !isFollowing) throw error;
      this.waiting.add(link);
    }
  }

  private notCaughtUp({ shard }: ShardLink, error: unknown): void {
    this.core.log.error('shard-not-caught-up', { shard, error: toSluiceError(error) });
  }

  /** Shard 0 decides on a slave too: its log is that of the master's shard 0. */
  private follow(change: MetadataChange): void {
    const { topics, groups, subscriptions } = this.core;
    if ('put' in change) {
      if (change.put === 'topic') topics.records.followed(change.topic);
      else groups.records.followed(change.group);
    } else if (change.drop === 'topic') {
      topics.records.dropped(change.topicId);
      subscriptions.closeTopic(change.topicId);
    } else groups.records.dropped(change.groupId);
  }
}
