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
    name: 'a disk that answers later than a lease lasts uses up delivery attempts',
    plants: [
      {
        file: 'acceptor/deliveries.js',
        find: 'deadlines.add(lateAtMs(first), ',
        replace: 'deadlines.add(Number.POSITIVE_INFINITY, ',
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
    name: 'one dead letter that cannot be read holds up all others',
    plants: [
      {
        file: 'shard/message-copier.js',
        find: 'heapPush(this.aside, work, isEarlier);',
        replace: 'this.ready.unshift(work);',
      },
    ],
    watcher: { kind: 'test', file: 'shard/message-copier.test.js' },
  },
  {
    name: 'a new dead letter is behind all that the disk refuses',
    plants: [
      {
        file: 'shard/message-copier.js',
        find: 'this.ready.push(first);',
        replace: 'this.ready.push(first, ...this.aside.splice(0));',
      },
    ],
    watcher: { kind: 'test', file: 'shard/message-copier.test.js' },
  },
  {
    name: 'a redrive that ends before an older one sends back again what that one has sent',
    plants: [
      {
        file: 'shard/dead-letters.js',
        find: 'if (under.open === 0)',
        replace: 'if (under.open >= 0)',
      },
      {
        file: 'shard/dead-letters.js',
        find: 'one.unsettledRuns(from, letters.visibleEnd, max)',
        replace: '[[from, Math.max(from, Math.min(letters.visibleEnd, from + max))]]',
      },
    ],
    watcher: { kind: 'test', file: 'shard/message-copier.test.js' },
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
