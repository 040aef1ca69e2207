/** Acks, nacks, extensions, releases and what could not be read: a lease that has ended is refused, the rest is carried out. Shard thread. */
import { getU64 } from '../base/bytes.ts';
import { readText } from '../protocol/batch/text-bytes.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import { DELAY_OF_GROUP, type GroupTable } from './group-table.ts';
import type { ShardContext } from './shard-context.ts';
import type { ShardPort } from './shard-port.ts';

/** A settlement whose records wait to be appended: answered after they are safe. */
export type SettleReply = {
  readonly port: number;
  readonly session: number;
  readonly correlation: number;
};

export class SettlePath {
  private readonly context: ShardContext;
  private readonly groups: GroupTable;
  /** Answers of this duty cycle, to be queued behind its control batch. */
  readonly replies: SettleReply[] = [];

  constructor(context: ShardContext, groups: GroupTable) {
    this.context = context;
    this.groups = groups;
  }

  /** @param at - payload of a REQUEST_SETTLE */
  handle(port: ShardPort, portIndex: number, at: number): void {
    const { bytes, view } = port.requests;
    const session = view.getUint32(at + envelope.SETTLE_SESSION, true);
    const correlation = view.getUint32(at + envelope.SETTLE_CORRELATION, true);
    const action = view.getUint32(at + envelope.SETTLE_ACTION, true);
    const count = view.getUint32(at + envelope.SETTLE_RANGE_COUNT, true);
    const reasonAt = at + envelope.SETTLE_RANGES + count * envelope.SETTLE_RANGE_BYTES;
    const reason = readText(
      bytes,
      reasonAt,
      reasonAt + view.getUint32(at + envelope.SETTLE_REASON_BYTES, true),
    );
    let stale = 0;
    for (let index = 0; index < count; index += 1) {
      const range = at + envelope.SETTLE_RANGES + index * envelope.SETTLE_RANGE_BYTES;
      if (!this.settleOne(view, at, range, action, reason)) stale += 1;
    }
    if (correlation === 0) return;
    if (stale === 0) this.replies.push({ port: portIndex, session, correlation });
    else {
      const text = `${stale} of ${count} ranges had no lease any more; the others were carried out`;
      port.failed(session, correlation, envelope.REQUEST_SETTLE, 'LEASE_EXPIRED', text);
    }
  }

  private settleOne(
    view: DataView,
    at: number,
    range: number,
    action: number,
    reason: string,
  ): boolean {
    const { clock, state } = this.context;
    const groupId = view.getUint32(at + envelope.SETTLE_GROUP_ID, true);
    const topicId = view.getUint32(at + envelope.SETTLE_TOPIC_ID, true);
    const argument = view.getUint32(at + envelope.SETTLE_ARGUMENT, true);
    const queueId = view.getUint16(range + envelope.SETTLE_RANGE_QUEUE_ID, true);
    const start = getU64(view, range + envelope.SETTLE_RANGE_OFFSET);
    const end = start + view.getUint32(range + envelope.SETTLE_RANGE_COUNT_AT, true);
    const leaseId = getU64(view, range + envelope.SETTLE_RANGE_LEASE);
    const one = state.groupQueue(groupId, topicId, queueId);
    if (one === undefined || end <= start) return false;
    if (action === envelope.SETTLE_EXTEND)
      return one.extend(leaseId, start, end, clock.monotonicMs() + argument);
    if (action === envelope.SETTLE_RELEASE) one.noteReturn(leaseId, argument);
    const { parts, attempt, unread } = one.close(leaseId, start, end);
    if (parts.length === 0) return false;
    if (action === envelope.SETTLE_ACK)
      for (const [from, to] of parts) this.groups.settle(one, from, to);
    else if (action === envelope.SETTLE_RELEASE) this.groups.release(one, parts, attempt);
    else if (action === envelope.SETTLE_UNREAD) this.groups.postpone(one, parts, attempt, unread);
    else {
      const delay = argument === envelope.SETTLE_DELAY_DEFAULT ? DELAY_OF_GROUP : argument;
      this.groups.retry(one, parts, attempt, delay, reason);
    }
    return true;
  }
}
