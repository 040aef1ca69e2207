/**
 * Planted bugs of replication, each of which the simulated cluster, or a test where it says so, must catch (decision 6). Numbers are those of the list that
 * every durable broker is tested with.
 */
import type { Mutant } from './mutants.ts';

export const REPLICATION_MUTANTS: readonly Mutant[] = [
  {
    name: '10: an acknowledgement of a slave is not bounded by what was sent',
    plants: [
      {
        file: 'replication/replica-link.js',
        find: 'if (position > this.sent)',
        replace: 'if (position > Infinity)',
      },
    ],
    watcher: { kind: 'cluster', from: 7 },
  },
  {
    name: '11: a slave is cut to a shorter master of the same epoch',
    plants: [
      {
        file: 'replication/handshake.js',
        find: "return { kind: 'fetch', position: master.end };",
        replace: "return { kind: 'cut', position: master.end };",
      },
    ],
    watcher: { kind: 'cluster', from: 8 },
  },
  {
    name: '12: what no slave has is acknowledged as if one had it',
    plants: [
      {
        file: 'commit/commit-policy.js',
        find: 'Math.min(safe, replicated)',
        replace: 'safe',
      },
    ],
    watcher: { kind: 'cluster', from: 1 },
  },
  {
    name: '16: the tail of an old master is taken for a part of the log',
    plants: [
      {
        file: 'replication/handshake.js',
        find: "return { kind: 'cut', position: parting.position };",
        replace: "return { kind: 'stream', position: slave.end };",
      },
    ],
    watcher: { kind: 'cluster', from: 1 },
  },
  {
    name: 'a master that only followed writes a clean stop',
    plants: [
      {
        file: 'commit/flusher-agent.js',
        find: 'this.checkpoint.write(this.flushed, this.options.memory.isLeading)',
        replace: 'this.checkpoint.write(this.flushed, true)',
      },
    ],
    watcher: { kind: 'test', file: 'commit/clean-stop.test.js' },
  },
  {
    name: 'what a shard said of its log counts after another slave has brought more',
    plants: [
      {
        file: 'replication/replica-link.js',
        find: 'this.runsWhenAsked !== this.host.door.runsHanded',
        replace: 'false',
      },
    ],
    watcher: { kind: 'test', file: 'replication/replica-link.test.js' },
  },
  {
    name: 'comparing with a broker that never was a slave counts',
    plants: [
      {
        file: 'replication/master-shard.js',
        find: 'state.replicas.includes(name));',
        replace: 'true);',
      },
    ],
    watcher: { kind: 'test', file: 'replication/who-may-lead.test.js' },
  },
  {
    name: 'flushed positions of the master are taken for those of the slave',
    plants: [
      {
        file: 'shard/open-shard.js',
        find: 'trustsHeaders: !isFollowing(storage)',
        replace: 'trustsHeaders: true',
      },
    ],
    watcher: { kind: 'cluster', from: 63 },
  },
  {
    name: 'a master may write after an unclean stop before it has compared',
    plants: [
      {
        file: 'replication/master-shard.js',
        find: 'if (!state.isFollowing || this.isResumed)',
        replace: 'if (true)',
      },
    ],
    watcher: { kind: 'cluster', from: 8 },
  },
  {
    name: 'a slave shows what its master has not confirmed',
    plants: [
      {
        file: 'shard/open-shard.js',
        find: "replication?.role === 'slave' || replication?.ack === 'SYNC_MASTER'",
        replace: "replication?.ack === 'SYNC_MASTER' && replication.role === 'master'",
      },
    ],
    watcher: { kind: 'cluster', from: 5 },
  },
  {
    name: 'a snapshot holds what no slave has confirmed',
    plants: [
      {
        file: 'shard/log-keeper.js',
        find: 'if (this.context.isBounded && this.context.commit < waiting.position)',
        replace: 'if (false)',
      },
    ],
    watcher: { kind: 'test', file: 'shard/replica-side.test.js' },
  },
  {
    name: 'a slave answers an ack before its journal is on the disk',
    plants: [
      {
        file: 'shard/settled-journal.js',
        find: 'const isIdle = this.fresh.length === 0 && !this.isRewriteDue && !this.isWriting;',
        replace: 'const isIdle = true;',
      },
    ],
    watcher: { kind: 'cluster', from: 18 },
  },
  {
    name: 'a journal is emptied before its records have come back with the log',
    plants: [
      {
        file: 'shard/slave-station.js',
        find: 'return commit >= end && log.flushed >= end;',
        replace: 'return true;',
      },
    ],
    watcher: { kind: 'cluster', from: 275 },
  },
  {
    name: 'the journal of a slave that is promoted does not become part of its log',
    plants: [
      {
        file: 'shard/take-lead.js',
        find: 'if (context.journal !== undefined)',
        replace: 'if (false)',
      },
    ],
    watcher: { kind: 'cluster', from: 180 },
  },
  {
    name: 'the rest of a chunk keeps what stood in the window, so that two logs with the same batches differ in it',
    plants: [
      {
        file: 'log/shard-log.js',
        find: 'this.tail.bytes.fill(0, place, place + left)',
        replace: 'this.tail.bytes.fill(0, place, place)',
      },
    ],
    watcher: { kind: 'test', file: 'shard/rest-of-chunk.test.js' },
  },
  {
    name: 'recovery counts a rest of a chunk that nobody has written: a slave has more than its master',
    plants: [
      {
        file: 'log/recovery.js',
        find: 'hole.after >= scan.flushedMax ? hole.after : hole.from',
        replace: 'hole.from',
      },
    ],
    watcher: { kind: 'test', file: 'replication/restarted-slave.test.js' },
  },
];
