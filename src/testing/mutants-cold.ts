/** Bugs in what is done when a disk does not give old bytes, or gives them slowly. */
import type { Mutant } from './mutants.ts';

export const COLD_MUTANTS: readonly Mutant[] = [
  {
    name: 'a disk that does not give a batch uses up its delivery attempts',
    plants: [
      {
        file: 'acceptor/deliveries.js',
        find: 'if (isLostForGood(failure.code)) {',
        replace: 'if (true) {',
      },
    ],
    watcher: { kind: 'test', file: 'acceptor/cold-reads.test.js' },
  },
  {
    name: 'what a consumer has not seen counts as an attempt when it goes away',
    plants: [
      {
        file: 'acceptor/deliveries.js',
        find: `dropAll(subscription) {
        this.giveBackCold(subscription);`,
        replace: `dropAll(subscription) {
        subscription.cold.length = 0;`,
      },
    ],
    watcher: { kind: 'test', file: 'acceptor/cold-reads.test.js' },
  },
  {
    name: 'what a disk does not give is asked for without a pause',
    plants: [
      {
        file: 'shard/group-table.js',
        find: 'const dueAtMs = nowMs + readAgainMs(unread + 1);',
        replace: 'const dueAtMs = nowMs;',
      },
    ],
    watcher: { kind: 'test', file: 'shard/unread.test.js' },
  },
  {
    name: 'a page of entries is believed without its checksum',
    plants: [
      {
        file: 'log/index-file.js',
        find: 'if (!table.areEntriesWhole(bytes, pages.first))',
        replace: 'if (table === null)',
      },
    ],
    watcher: { kind: 'test', file: 'log/index-file.test.js' },
  },
];
