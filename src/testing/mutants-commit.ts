/** Planted bugs of writing, flushing and committing: what is acknowledged, or seen, before it is safe. */
import { type Mutant, simulation } from './mutants.ts';

const FLUSHER = 'commit/flusher-agent.js';
const WRITER = 'commit/log-writer.js';
const SYNC_AND_MOVE = `        this.writer.sync(this.written);
        this.flushed = this.written;`;
const WHEN_SYNC_FAILS = `        catch (error) {
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
        file: FLUSHER,
        find: SYNC_AND_MOVE,
        replace: `        this.options.memory.flushed.publish(this.written);\n${SYNC_AND_MOVE}`,
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
        file: FLUSHER,
        find: SYNC_AND_MOVE,
        replace: `        try {
            this.writer.sync(this.written);
        }
${WHEN_SYNC_FAILS}
        }
        this.flushed = this.written;`,
      },
    ],
    watcher: simulation('sync', 5),
  },
  {
    name: 'a sync that failed is tried again, and the second answer believed',
    plants: [
      {
        file: FLUSHER,
        find: SYNC_AND_MOVE,
        replace: `        try {
            this.writer.sync(this.written);
        }
${WHEN_SYNC_FAILS}
            this.writer.sync(this.written);
        }
        this.flushed = this.written;`,
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
    plants: [{ file: WRITER, find: 'place === 0 || ', replace: '' }],
    watcher: simulation('async', 160),
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
