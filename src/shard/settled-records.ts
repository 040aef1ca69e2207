/**
 * Records of a slave's journal (log/settled-file.ts) on their way into the state and the log of a shard: at its opening, at a
 * promotion, and when a slave hands them to its master. What a shard does not know is passed over. Shard thread and recovery.
 */
import { isSettledRecord, SETTLED_POSITION, type SettledRecord } from '../log/settled-file.ts';
import type { GroupTable } from './group-table.ts';
import type { SettledJournal } from './settled-journal.ts';
import type { ShardContext } from './shard-context.ts';
import type { ShardState } from './shard-state.ts';

/**
 * The records that this log can bear: whatever is above its end was settled in another one, whose offsets are given out anew.
 *
 * @returns shorter, or without records, where that is so
 */
export function clipSettled(
  state: ShardState,
  records: readonly SettledRecord[],
): readonly SettledRecord[] {
  return records.flatMap((record) => {
    const queue = state.queue(record.topicId, record.queueId);
    if (queue === undefined || !state.groups.has(record.groupId)) return [];
    if (record.start >= queue.storedEnd && record.kind !== SETTLED_POSITION) return [];
    if (record.start > queue.storedEnd) return [];
    const count = Math.min(record.count, queue.storedEnd - record.start);
    return [count === record.count ? record : { ...record, count }];
  });
}

/** Takes the journal of this shard into its state, as if its log had said it. */
export function applySettled(state: ShardState, records: readonly SettledRecord[]): void {
  for (const { kind, groupId, topicId, queueId, start, count } of records) {
    const found = state.groupQueue(groupId, topicId, queueId);
    if (kind === SETTLED_POSITION) {
      if (found === undefined)
        state.applyMetadata({ put: 'position', groupId, topicId, queueId, offset: start });
    } else {
      found?.retries.remove(start, start + count);
      found?.settle(start, start + count);
    }
  }
}

/** A slave hands over what was settled with it: it goes into the log. What is there twice is there once, ranges are a set. */
export function takeSettled(
  { state }: ShardContext,
  groups: GroupTable,
  records: readonly SettledRecord[],
): void {
  for (const record of clipSettled(state, records.filter(isSettledRecord))) {
    const { kind, groupId, topicId, queueId, start, count } = record;
    const queue = state.queue(topicId, queueId);
    if (kind === SETTLED_POSITION) {
      if (queue !== undefined) groups.ensurePosition(groupId, queue, () => start);
      continue;
    }
    const one = state.groupQueue(groupId, topicId, queueId);
    if (one !== undefined) groups.settleElsewhere(one, start, start + count);
  }
}

/** A slave becomes master: its journal becomes records of its log, before anything else is settled. */
export function logJournal({ state, control }: ShardContext, journal: SettledJournal): void {
  for (const { kind, groupId, topicId, queueId, start, count } of journal.records()) {
    const one = state.groupQueue(groupId, topicId, queueId);
    if (one === undefined) continue;
    if (kind !== SETTLED_POSITION) {
      control.settled(groupId, topicId, queueId, [{ start, count }]);
      continue;
    }
    // The log may know of no position. Where it does, this is the same one: all that is settled above it follows.
    const offset = one.settledThrough;
    control.positions([{ groupId, topicId, queueId, offset }]);
    const runs = one.settled.runs().map(([from, to]) => ({ start: from, count: to - from }));
    control.settled(groupId, topicId, queueId, runs);
  }
}
