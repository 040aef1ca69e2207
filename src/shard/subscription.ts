/** One member of a group on this shard: who it is, what it may be sent now. Shard thread only. */

import { fnv1a } from '../base/fnv1a.ts';
import { bloomHas } from '../protocol/batch/batch-check.ts';
import type { GroupQueue } from './group-queue.ts';

export class Subscription {
  readonly id: number;
  /** Acceptor that it came in through. */
  readonly port: number;
  readonly groupId: number;
  readonly topicId: number;
  readonly leaseMs: number;
  /** Messages that it may still be sent. */
  credit: number;
  isPaused = false;
  /** It gets one message of a queue at a time. */
  readonly isOrdered: boolean;
  /** Queues assigned to it. */
  readonly queues: Set<GroupQueue> = new Set();
  private readonly tagHashes: readonly number[] | null;

  constructor(options: {
    id: number;
    port: number;
    groupId: number;
    topicId: number;
    leaseMs: number;
    credit: number;
    filter: readonly string[] | null;
    isOrdered: boolean;
  }) {
    this.id = options.id;
    this.port = options.port;
    this.groupId = options.groupId;
    this.topicId = options.topicId;
    this.leaseMs = options.leaseMs;
    this.credit = options.credit;
    this.isOrdered = options.isOrdered;
    this.tagHashes = options.filter?.map((tag) => fnv1a(tag)) ?? null;
  }

  get canReceive(): boolean {
    return this.credit > 0 && !this.isPaused;
  }

  /** May a batch with this tag filter hold a message for it? The acceptor looks at each record after. */
  mayMatch(bloomLow: number, bloomHigh: number): boolean {
    if (this.tagHashes === null) return true;
    return this.tagHashes.some((hash) => bloomHas(bloomLow, bloomHigh, hash));
  }
}
