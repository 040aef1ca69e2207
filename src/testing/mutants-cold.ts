/** Bugs in what is done when a disk does not give old bytes, or gives them slowly. */
import type { Mutant } from './mutants.ts';

export const COLD_MUTANTS: readonly Mutant[] = [
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
