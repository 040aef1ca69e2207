/** Bugs in delayed messages and transactions. See mutants.ts. */
import type { Mutant, Watcher } from './mutants.ts';

const STATE = 'shard/deferred-state.js';
const TEST: Watcher = { kind: 'test', file: 'shard/deferred.test.js' };

export const DEFERRED_MUTANTS: readonly Mutant[] = [
  {
    name: 'the table of what waits is not in the snapshot',
    plants: [
      {
        file: 'shard/shard-state.js',
        find: 'deferred: this.deferred.image(),',
        replace: '',
      },
    ],
    watcher: TEST,
  },
  {
    name: 'a message that has become visible still waits after a restart',
    plants: [
      {
        file: 'shard/shard-state.js',
        find: '(flags & layout.STORED_FLAG_RELEASED) !== 0',
        replace: 'false',
      },
    ],
    watcher: TEST,
  },
  {
    name: 'a copy takes the sequence of its producer back to where it was sent',
    plants: [
      {
        file: 'shard/shard-state.js',
        find: 'this.deferred.addCopy(view, at);',
        replace:
          '{ this.deferred.addCopy(view, at); this.noteProducer(bytes, view, at, position, entry.baseOffset); }',
      },
    ],
    watcher: TEST,
  },
  {
    name: 'messages are shown before they are due',
    plants: [
      {
        file: 'shard/deferred-path.js',
        find: 'const nowMs = context.clock.epochMs();',
        replace: 'const nowMs = context.clock.epochMs() + 500;',
      },
    ],
    watcher: TEST,
  },
  {
    name: 'a segment is let go although something waits in it',
    plants: [
      {
        file: 'shard/deferred-path.js',
        find: 'if (bytes > 0) {',
        replace: 'if (bytes > 1e12) {',
      },
    ],
    watcher: TEST,
  },
  {
    name: 'how often a producer was asked is forgotten by a restart',
    plants: [{ file: STATE, find: 'this.table.setChecks(row, entry.detail);', replace: '' }],
    watcher: TEST,
  },
  {
    name: 'the end of a transaction is forgotten when it was a commit',
    plants: [{ file: STATE, find: 'this.noteEnded(origin, true);', replace: '' }],
    watcher: TEST,
  },
  {
    name: 'a burst of due messages goes into the log as fast as the window takes it',
    plants: [
      {
        file: 'shard/deferred-path.js',
        find: 'if (this.context.commit < this.burstEnd)',
        replace: 'if (false)',
      },
    ],
    watcher: { kind: 'test', file: 'shard/deferred-burst.test.js' },
  },
  {
    name: 'neighbours are read together over the end of a segment',
    plants: [
      {
        file: 'log/stored-read.js',
        find: ' && next < segmentEnd',
        replace: '',
      },
    ],
    watcher: { kind: 'test', file: 'log/stored-read.test.js' },
  },
  {
    name: 'one question that cannot be passed on ends the questions',
    plants: [
      {
        file: 'acceptor/transactions.js',
        find: 'this.pass(shard, event).catch(',
        replace: 'this.checkers.length = 0; this.pass(shard, event).catch(',
      },
    ],
    watcher: { kind: 'test', file: 'acceptor/transactions.test.js' },
  },
];
