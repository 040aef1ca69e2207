/** Planted bugs of writing, flushing and committing: what is acknowledged, or seen, before it is safe. */
import { type Mutant, simulation, testFile } from './mutants.ts';

const WRITER = 'commit/log-writer.js';
const SHARE = 'commit/shard-share.js';
const SYNC = '    sync();';
const WHEN_SYNC_FAILS = `    catch (error) {
        if (error?.code !== 'STORAGE_IO')
            throw error;`;

/** Acknowledged before it is safe, or seen. */
export const EARLY_ACKS: readonly Mutant[] = [
  {
    name: 'an ack leaves when its bytes are written, before the sync',
    plants: [
      {
        file: 'commit/commit-policy.js',
        find: "mode === 'SYNC_FLUSH' ? flushed : written",
        replace: 'written',
      },
    ],
    watcher: simulation('sync'),
  },
  {
    name: 'the flushed position moves before the sync has come back',
    plants: [
      {
        file: WRITER,
        find: SYNC,
        replace: `    memory.flushed.publish(written);\n${SYNC}`,
      },
    ],
    watcher: simulation('sync', 5),
  },
  {
    name: 'an answer leaves when the beginning of its batch is safe',
    plants: [
      {
        file: 'commit/pending-replies.js',
        find: 'return entry.position <= commit',
        replace: 'return entry.batchPosition <= commit',
      },
    ],
    watcher: simulation('sync'),
  },
  {
    name: 'an error of the sync is ignored',
    plants: [
      {
        file: WRITER,
        find: SYNC,
        replace: `    try {
    ${SYNC}
    }
${WHEN_SYNC_FAILS}
    }`,
      },
    ],
    watcher: simulation('sync', 5),
  },
  {
    name: 'a sync that failed is tried again, and the second answer believed',
    plants: [
      {
        file: WRITER,
        find: SYNC,
        replace: `    try {
    ${SYNC}
    }
${WHEN_SYNC_FAILS}
    ${SYNC}
    }`,
      },
    ],
    watcher: simulation('sync', 5),
  },
  {
    name: 'a barrier covers the file it ends in, and not the one it began in',
    plants: [
      {
        file: WRITER,
        find: '            this.sync(start);',
        replace: '            this.options.memory.claimWriting();',
      },
    ],
    watcher: simulation('sync'),
  },
  {
    name: 'the shard begins a segment itself, and the flusher never syncs the one before',
    plants: [
      {
        file: SHARE,
        find: 'if (written % this.options.segmentBytes === 0)',
        replace: 'if (written < 0)',
      },
    ],
    watcher: simulation('async', 160),
  },
  {
    name: 'a shard that syncs itself does not',
    plants: [
      {
        file: WRITER,
        find: 'barrier(this.options, appended, () => file.sync())',
        replace: 'barrier(this.options, appended, () => {})',
      },
    ],
    watcher: simulation('sync'),
  },
  {
    name: 'one goes on behind a sync of the other that has failed',
    plants: [
      {
        file: 'log/log-memory.js',
        find: 'if (Atomics.load(this.fault, 0) === 0)',
        replace: 'if (this.fault.length > 0)',
      },
    ],
    watcher: testFile('commit/log-writer.test.js'),
  },
  {
    name: 'the shard does not look for what the flusher has left to it',
    plants: [
      {
        file: 'shard/shard-agent.js',
        find: '!isNew && !this.smallWriter.hasWork()',
        replace: '!isNew',
      },
    ],
    watcher: testFile('shard/shard-syncs.test.js'),
  },
  {
    name: 'a message can be seen as soon as it is appended',
    plants: [
      {
        file: 'shard/append-batch.js',
        find: 'queue.push(entry);',
        replace: 'queue.push(entry);\n    queue.visibleEnd = queue.endOffset;',
      },
    ],
    watcher: simulation('sync'),
  },
];
