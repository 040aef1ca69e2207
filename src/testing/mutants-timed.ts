/**
 * Planted bugs of what has a time, an owner or a count (delayed messages, transactions, locks, positions, retries), each of which
 * the simulations must catch with their general workload (decision 6). Numbers are those of the list that every durable broker is
 * tested with; its "pop checkpoint" is here what a group has acked above its position, and how often a message came.
 */
import type { Mutant, Watcher } from './mutants.ts';

const STATE = 'shard/shard-state.js';

function shard(from = 1): Watcher {
  return { kind: 'simulation', sizes: 'mixed', flush: 'sync', from };
}

function cluster(from = 1): Watcher {
  return { kind: 'cluster', from };
}

export const TIMED_MUTANTS: readonly Mutant[] = [
  {
    name: '13: what waits for its time is not found again in the log',
    plants: [
      {
        file: 'shard/open-shard.js',
        find: 'kind === layout.KIND_DEFERRED && isNew',
        replace: 'kind === layout.KIND_DEFERRED && position < 0',
      },
    ],
    watcher: shard(),
  },
  {
    name: '14: what was acked above the position of a group is forgotten by a restart',
    plants: [
      {
        file: STATE,
        find: 'found.settle(range.start, range.start + range.count);',
        replace:
          'if (range.start <= found.settledThrough) found.settle(range.start, range.start + range.count);',
      },
    ],
    watcher: shard(),
  },
  {
    name: '14: how often a message came is forgotten by a restart',
    plants: [
      {
        file: STATE,
        find: 'found?.retry(retryEntry(range, writtenAtMs, nowMs, epochNowMs), nowMs);',
        replace:
          'found?.retry({ ...retryEntry(range, writtenAtMs, nowMs, epochNowMs), attempt: 1 }, nowMs);',
      },
    ],
    watcher: shard(),
  },
  {
    name: '15: the questions about a half message end after the first',
    plants: [
      {
        file: 'shard/deferred-state.js',
        find: 'entry.value === 0 ? Number.POSITIVE_INFINITY : entry.value',
        replace: 'Number.POSITIVE_INFINITY',
      },
    ],
    watcher: shard(5),
  },
  {
    name: 'a half message is one of the delayed after a restart, and becomes visible',
    plants: [
      {
        file: 'shard/deferred-rows.js',
        find: 'isHalf: columns.isHalf[row] === 1',
        replace: 'isHalf: false',
      },
    ],
    watcher: shard(5),
  },
  {
    name: 'a queue is locked for another client while the lease still runs',
    plants: [
      {
        file: 'shard/queue-locks.js',
        find: 'lock.holder !== client && isHeld(lock, nowMs)',
        replace: 'lock.holder !== client && isHeld(lock, nowMs + 59_000)',
      },
    ],
    watcher: shard(),
  },
  {
    name: 'whoever has lost a queue may still move the group',
    plants: [
      {
        file: 'shard/offset-path.js',
        find: '(client ?? holder) !== holder',
        replace: 'client === 0',
      },
    ],
    watcher: shard(),
  },
  {
    name: 'a cancellation by key searches only what is on the disk',
    plants: [
      { file: 'shard/deferred-queries.js', find: '!isThere && end < until', replace: 'false' },
    ],
    watcher: shard(40),
  },
  {
    name: 'a slave does not take in what its master has released, and releases it again',
    plants: [
      {
        file: 'shard/slave-path.js',
        find: 'state.addControl(bytes, view, at, nowMs, epochNowMs);',
        replace: `{
                const { deferred } = state;
                const apply = deferred.applyEntry;
                deferred.applyEntry = (type, entry) => type === 4 || apply.call(deferred, type, entry);
                state.addControl(bytes, view, at, nowMs, epochNowMs);
                deferred.applyEntry = apply;
            }`,
      },
    ],
    watcher: cluster(),
  },
  {
    name: 'a cancellation is answered by what is confirmed so far',
    plants: [
      {
        file: 'shard/deferred-queries.js',
        find: 'else if (place >= log.written)',
        replace: 'else if (place >= this.context.commit)',
      },
    ],
    watcher: { kind: 'test', file: 'shard/deferred.test.js' },
  },
];
