/** All shards as the acceptor reaches them, and which of them own the queues of a topic. */

import { invariant } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import { type ShardControlRequest, shardOf, type TopicRecord } from '../protocol/shard-control.ts';
import type { PendingRequests } from './pending-requests.ts';
import { ShardLink } from './shard-link.ts';
import type { ShardPort } from './shard-port.ts';

export class ShardLinks {
  readonly all: readonly ShardLink[];

  constructor(ports: readonly ShardPort[], pending: PendingRequests, clock: Clock) {
    invariant(ports.length > 0, 'a broker has a shard');
    for (const [shard, port] of ports.entries())
      invariant(port.shard === shard, 'shards are in the order of their numbers', port.shard);
    this.all = ports.map((port) => new ShardLink(port, pending, clock));
  }

  get count(): number {
    return this.all.length;
  }

  get(shard: number): ShardLink {
    const link = this.all[shard];
    invariant(link !== undefined, 'a shard number is below the count', shard);
    return link;
  }

  ofQueue(topicId: number, queueId: number): ShardLink {
    return this.get(shardOf(topicId, queueId, this.all.length));
  }

  /** Shards that own queues of the topic, in ascending order. */
  ofTopic(topic: TopicRecord): readonly ShardLink[] {
    const shards = new Set<number>();
    for (let queueId = 0; queueId < topic.queues; queueId += 1)
      shards.add(shardOf(topic.topicId, queueId, this.all.length));
    return this.all.filter((link) => shards.has(link.shard));
  }

  /** The same request to several shards at once. @returns results in the order of `links` */
  controlAll<Result>(
    links: readonly ShardLink[],
    request: ShardControlRequest,
  ): Promise<readonly Result[]> {
    return Promise.all(links.map((link) => link.control<Result>(request)));
  }
}
