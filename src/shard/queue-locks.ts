/**
 * Which client of a group may consume a queue in order: a lock with a lease and a number that rises whenever the holder changes.
 * The holder is in the log, the lease is not: after a restart, or on a slave that was promoted, it begins anew, so that a client
 * that still believes in its lock is never overtaken. Pure; shard thread.
 *
 * @source RocketMQ RebalanceLockManager, whose locks a restart forgets
 */
import { QUEUE_LOCK_MS } from '../base/limits.ts';

/** A change of holder, as the log has it. */
export type LockRecord = {
  readonly groupId: number;
  readonly topicId: number;
  readonly queueId: number;
  /** Empty: nobody. */
  readonly holder: string;
  readonly fence: number;
};

type Lock = { holder: string; fence: number; expiresAtMs: number };

/** What became of a wish to lock. */
export type LockOutcome = {
  readonly isHeld: boolean;
  /** Who has it, and under which number. */
  readonly holder: string;
  readonly fence: number;
  /** Milliseconds that the lease has left. */
  readonly leftMs: number;
  /** What the log must be told before anybody is told; undefined: nothing. */
  readonly record: LockRecord | undefined;
};

export class QueueLocks {
  /** By group, then topic and queue. */
  private readonly byGroup = new Map<number, Map<string, Lock>>();

  /** Takes a free lock, or one whose lease is over, or renews the caller's own. */
  acquire(
    groupId: number,
    topicId: number,
    queueId: number,
    client: string,
    nowMs: number,
  ): LockOutcome {
    const lock = this.find(groupId, topicId, queueId);
    if (lock !== undefined && lock.holder !== client && isHeld(lock, nowMs)) {
      const { holder, fence, expiresAtMs } = lock;
      return { isHeld: false, holder, fence, leftMs: expiresAtMs - nowMs, record: undefined };
    }
    const isRenewal = lock?.holder === client;
    const fence = (lock?.fence ?? 0) + (isRenewal ? 0 : 1);
    const record = { groupId, topicId, queueId, holder: client, fence };
    this.put(record, nowMs);
    return {
      ...{ isHeld: true, holder: client, fence, leftMs: QUEUE_LOCK_MS },
      record: isRenewal ? undefined : record,
    };
  }

  /** Gives up the caller's own lock. @returns what the log must be told; undefined when it was not the caller's */
  release(
    groupId: number,
    topicId: number,
    queueId: number,
    client: string,
  ): LockRecord | undefined {
    const lock = this.find(groupId, topicId, queueId);
    if (lock === undefined || lock.holder !== client || client === '') return undefined;
    const record = { groupId, topicId, queueId, holder: '', fence: lock.fence };
    this.put(record, 0);
    return record;
  }

  /** Who may consume the queue now; undefined: nobody has the lock. */
  holder(groupId: number, topicId: number, queueId: number, nowMs: number): string | undefined {
    const lock = this.find(groupId, topicId, queueId);
    return lock !== undefined && isHeld(lock, nowMs) ? lock.holder : undefined;
  }

  /** What the log says; the lease begins now. */
  put(record: LockRecord, nowMs: number): void {
    const { groupId, topicId, queueId, holder, fence } = record;
    const locks = this.byGroup.get(groupId) ?? new Map<string, Lock>();
    this.byGroup.set(groupId, locks);
    locks.set(keyOf(topicId, queueId), { holder, fence, expiresAtMs: nowMs + QUEUE_LOCK_MS });
  }

  /** All that were ever held, for the snapshot: also a free one has a number. */
  records(): readonly LockRecord[] {
    return [...this.byGroup].flatMap(([groupId, locks]) =>
      [...locks].map(([key, { holder, fence }]) => {
        const [topicId, queueId] = key.split('.').map(Number) as [number, number];
        return { groupId, topicId, queueId, holder, fence };
      }),
    );
  }

  /** Every lease begins anew: this log has another writer now, and nobody knows who was promised what. */
  renewAll(nowMs: number): void {
    for (const locks of this.byGroup.values())
      for (const lock of locks.values()) lock.expiresAtMs = nowMs + QUEUE_LOCK_MS;
  }

  dropGroup(groupId: number): void {
    this.byGroup.delete(groupId);
  }

  dropTopic(topicId: number): void {
    for (const locks of this.byGroup.values())
      for (const key of locks.keys()) if (key.startsWith(`${topicId}.`)) locks.delete(key);
  }

  private find(groupId: number, topicId: number, queueId: number): Lock | undefined {
    return this.byGroup.get(groupId)?.get(keyOf(topicId, queueId));
  }
}

function keyOf(topicId: number, queueId: number): string {
  return `${topicId}.${queueId}`;
}

function isHeld(lock: Lock, nowMs: number): boolean {
  return lock.holder !== '' && nowMs < lock.expiresAtMs;
}
