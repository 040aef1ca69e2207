/** Bugs that filters must not have; see mutants.ts. */
import type { Mutant, Watcher } from './mutants.ts';

const SEMANTICS: Watcher = { kind: 'test', file: 'filter/sql-semantics.test.js' };

export const FILTERS: readonly Mutant[] = [
  {
    name: 'an unknown condition is taken for a false one in AND',
    plants: [
      {
        file: 'filter/sql-compiler.js',
        find: `            if (truth === UNKNOWN)
                result = UNKNOWN;`,
        replace: `            if (truth === UNKNOWN)
                result = FALSE;`,
      },
    ],
    watcher: SEMANTICS,
  },
  {
    name: 'what cannot be evaluated is passed over in OR',
    plants: [
      {
        file: 'filter/sql-compiler.js',
        find: 'if (truth === decisive || truth === FAILED)',
        replace: 'if (truth === decisive)',
      },
    ],
    watcher: SEMANTICS,
  },
  {
    name: 'properties of the record before are still there',
    plants: [{ file: 'filter/property-values.js', find: 'this.starts.fill(-1);', replace: '' }],
    watcher: SEMANTICS,
  },
  {
    name: 'a 64-bit integer is compared as a double',
    plants: [
      {
        file: 'filter/sql-values.js',
        find: "if (left.kind === 'long' && right.kind === 'long')",
        replace: "if (left.kind === 'never' && right.kind === 'long')",
      },
    ],
    watcher: SEMANTICS,
  },
  {
    name: 'the selection of a frame begins a record late',
    plants: [
      {
        file: 'acceptor/hand-over.js',
        find: '(1 << (records & 7))',
        replace: '(2 << (records & 7))',
      },
    ],
    watcher: { kind: 'test', file: 'acceptor/binary-frames.test.js' },
  },
  {
    name: 'what an SQL filter leaves out is not settled',
    plants: [
      {
        file: 'acceptor/hand-over.js',
        find: 'this.settle(subscription, entry, { action: SETTLE_ACK, ranges: this.skipped, argument: 0 });',
        replace: '',
      },
    ],
    watcher: { kind: 'test', file: 'acceptor/json-subscriptions.test.js' },
  },
  {
    name: 'credit is given back for messages that took none',
    plants: [
      {
        file: 'client/consumer-core.js',
        find: 'if (delivery.messageCount === 0)',
        replace:
          'this.giveBack(header.count - delivery.messageCount);\n            if (delivery.messageCount === 0)',
      },
    ],
    watcher: { kind: 'test', file: 'client/consumer.test.js' },
  },
];
