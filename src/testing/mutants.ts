/**
 * Bugs that a broker must not have, each as a change of its compiled code, with what must notice it. A suite that misses one
 * proves nothing by passing. A bug that was found and corrected gets its mutant here.
 */
import type { Plant } from './mutant-tree.ts';

/**
 * What must fail when the bug is in: the simulator at some seed from `from` on, or a test file below `test/`. `from` is a little
 * before the seed that was found the last time, so that a run is short; it need not be right.
 */
export type Watcher =
  | {
      readonly kind: 'simulation';
      readonly sizes: 'fixed' | 'random' | 'mixed';
      readonly flush: 'sync' | 'async' | 'mixed';
      readonly from: number;
    }
  /** The simulated cluster. */
  | { readonly kind: 'cluster'; readonly from: number }
  | { readonly kind: 'test'; readonly file: string };

export type Mutant = {
  /** The bug in words. */
  readonly name: string;
  readonly plants: readonly Plant[];
  readonly watcher: Watcher;
};

export function simulation(
  flush: 'sync' | 'async' | 'mixed',
  from = 1,
): Extract<Watcher, { kind: 'simulation' }> {
  return { kind: 'simulation', sizes: 'mixed', flush, from };
}

function testFile(file: string): Watcher {
  return { kind: 'test', file };
}

/** What recovery finds, and what it does to it. */
export const RECOVERY: readonly Mutant[] = [
  {
    name: 'the checksum of a stored batch covers its body only',
    plants: [
      {
        file: 'log/stored-header.js',
        find: 'return crc === view.getUint32(at + layout.STORED_CRC, true);',
        replace: 'return crc >= 0;',
      },
    ],
    watcher: testFile('log/stored-header.test.js'),
  },
  {
    name: 'the checksum of a body is not looked at',
    plants: [
      {
        file: 'log/stored-header.js',
        find: 'return crc32Fast(bytes, payloadAt + layout.BATCH_BYTES, at + length) === expected;',
        replace: 'return true;',
      },
    ],
    watcher: simulation('sync', 7),
  },
  {
    name: 'the log is cut at the first bad batch, wherever it is',
    plants: [
      {
        file: 'log/recovery.js',
        find: 'if (hole.from >= scan.flushedMax)',
        replace: 'if (hole.from >= 0)',
      },
    ],
    watcher: simulation('sync', 50),
  },
  {
    name: 'what was cut is not overwritten, and comes back',
    plants: [
      {
        file: 'log/recovery.js',
        find: 'if (position >= filesEnd)',
        replace: 'if (position >= 0)',
      },
    ],
    watcher: testFile('log/recovery.test.js'),
  },
  {
    name: 'nothing says that the tail is being overwritten',
    plants: [
      {
        file: 'log/recovery.js',
        find: '                markOverwriting(storage);',
        replace: '                ;',
      },
    ],
    watcher: testFile('log/recovery.test.js'),
  },
  {
    name: 'zeros of an attempt that failed are believed',
    plants: [
      {
        file: 'log/recovery.js',
        find: 'const isUncertain = isOverwriting;',
        replace: 'const isUncertain = false;',
      },
    ],
    watcher: testFile('log/recovery.test.js'),
  },
  {
    name: 'a start relies on names that no disk may have',
    plants: [{ file: 'log/repair-directory.js', find: 'storage.syncDirectory();', replace: '' }],
    watcher: testFile('log/repair-directory.test.js'),
  },
  {
    name: 'what recovery found in the page cache is not written once more',
    plants: [
      {
        file: 'log/recovery.js',
        find: 'for (let position = from; position < to;)',
        replace: 'for (let position = to; position < to;)',
      },
    ],
    watcher: testFile('log/recovery.test.js'),
  },
  {
    name: 'a snapshot is renamed without a sync of its own',
    plants: [
      {
        file: 'log/snapshot.js',
        find: `        file.write(bytes, 0);
        file.sync();`,
        replace: '        file.write(bytes, 0);',
      },
    ],
    watcher: testFile('log/snapshot.test.js'),
  },
  {
    name: 'the directory is not synced after a segment got its name',
    plants: [
      {
        file: 'log/run-side-job.js',
        find: `        storage.syncDirectory();
    }
    catch (error) {
        storage.remove(to);`,
        replace: `    }
    catch (error) {
        storage.remove(to);`,
      },
    ],
    watcher: simulation('mixed'),
  },
  {
    name: 'a segment is let go without a word of it on the disk',
    plants: [
      { file: 'log/run-side-job.js', find: 'markReleased(storage, job.released);', replace: '' },
    ],
    watcher: simulation('mixed', 1150),
  },
  {
    name: 'a segment that somebody deleted is taken for one that was let go',
    plants: [
      {
        file: 'shard/open-shard.js',
        find: '.filter((segment) => !released.has(segment))',
        replace: '.filter((segment) => released.has(segment) && segment < 0)',
      },
    ],
    watcher: testFile('shard/missing-segment.test.js'),
  },
  {
    name: 'the header of a torn batch is not believed',
    plants: [
      {
        file: 'log/recovery.js',
        find: 'if (this.options.trustsHeaders !== false)',
        replace: 'if (this.options.trustsHeaders !== false && isStoredPayload(bytes, view, at))',
      },
    ],
    watcher: testFile('log/recovery.test.js'),
  },
  {
    name: 'recovery does not learn what producers have stored',
    plants: [
      {
        file: 'shard/shard-state.js',
        find: 'else if (isNew)',
        replace: 'else if (position < 0)',
      },
    ],
    watcher: simulation('sync'),
  },
];

/** Groups and credit. */
export const DELIVERY: readonly Mutant[] = [
  {
    name: 'a settlement is taken without its lease',
    plants: [
      {
        file: 'shard/group-queue.js',
        find: `const lease = this.leases.get(leaseId);
        if (lease === undefined)
            return { parts: [], attempt: 0 };`,
        replace: `const lease = this.leases.get(leaseId) ??
            [...this.leases.values()].find(({ open }) => open.has(start));
        if (lease === undefined)
            return { parts: [], attempt: 0 };`,
      },
    ],
    watcher: simulation('sync', 4),
  },
  {
    name: 'the settled position goes backwards',
    plants: [
      {
        file: 'shard/group-queue.js',
        find: `        if (end <= this.settledThrough)
            return;
`,
        replace: '',
      },
    ],
    watcher: simulation('sync', 55),
  },
  {
    name: 'a shard delivers more than the credit of a member',
    plants: [
      {
        file: 'shard/deliver-path.js',
        find: 'Math.min(inBatch, subscription.credit)',
        replace: 'inBatch',
      },
    ],
    watcher: simulation('sync'),
  },
  {
    name: 'credit is not used up',
    plants: [{ file: 'acceptor/credit-ledger.js', find: 'this.credit -= count;', replace: '' }],
    watcher: testFile('acceptor/credit-ledger.test.js'),
  },
];

/** Bounds of memory, and bytes from outside. */
export const BOUNDS: readonly Mutant[] = [
  {
    name: 'a full ring is overwritten',
    plants: [
      {
        file: 'ring/ring-producer.js',
        find: 'return used + bytes <= this.capacityBytes;',
        replace: 'return true;',
      },
    ],
    watcher: testFile('ring/ring.test.js'),
  },
  {
    name: 'the tail window is overwritten before the flusher has written it',
    plants: [
      {
        file: 'log/shard-log.js',
        find: 'if (oldEnd > this.written)',
        replace: 'if (oldEnd > this.appended)',
      },
    ],
    watcher: simulation('sync'),
  },
  {
    name: 'a length is read as a signed number',
    plants: [
      {
        file: 'protocol/batch/batch-check.js',
        find: 'const propertiesBytes = view.getUint16(',
        replace: 'const propertiesBytes = view.getInt16(',
      },
    ],
    watcher: testFile('protocol/batch/batch.test.js'),
  },
  {
    name: 'memory is allocated for a length before it is checked',
    plants: [
      {
        file: 'log/index-file.js',
        find: 'if (total === file.size() && ',
        replace: 'if (total > 0 && ',
      },
    ],
    watcher: testFile('fuzz/log-decoders.test.js'),
  },
];
