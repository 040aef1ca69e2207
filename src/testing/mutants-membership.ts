/** Planted bugs of queue locks, ordered delivery and members of groups (decision 6). */
import type { Mutant } from './mutants.ts';

const LOCKS = { kind: 'test', file: 'shard/queue-locks.test.js' } as const;
const ORDERED = { kind: 'test', file: 'shard/group-queue-ordered.test.js' } as const;
const MEMBERS = { kind: 'test', file: 'membership/client-table.test.js' } as const;

export const MEMBERSHIP_MUTANTS: readonly Mutant[] = [
  {
    name: 'an offset that a member commits is not in the log',
    plants: [{ file: 'shard/group-table.js', find: 'groupLog.positions(positions);', replace: '' }],
    watcher: { kind: 'test', file: 'shard/offset-path.test.js' },
  },
  {
    name: 'a queue lock is given to whoever asks',
    plants: [
      {
        file: 'shard/queue-locks.js',
        find: 'nowMs < lock.expiresAtMs',
        replace: 'nowMs < lock.expiresAtMs - 60_000',
      },
    ],
    watcher: LOCKS,
  },
  {
    name: 'a lock that a restart has found again has no lease',
    plants: [
      {
        file: 'shard/take-lead.js',
        find: 'state.locks.renewAll(context.clock.monotonicMs());',
        replace: '',
      },
    ],
    watcher: LOCKS,
  },
  {
    name: 'a new holder of a lock has the number of the old one',
    plants: [
      {
        file: 'shard/queue-locks.js',
        find: 'const isRenewal = lock?.holder === client;',
        replace: 'const isRenewal = lock !== undefined;',
      },
    ],
    watcher: LOCKS,
  },
  {
    name: 'in an ordered queue the next message passes one that waits for its retry',
    plants: [
      {
        file: 'shard/group-queue.js',
        find: 'return this.retries.firstStart() < offset;',
        replace: 'return false;',
      },
    ],
    watcher: ORDERED,
  },
  {
    name: 'in an ordered queue the next message passes one that is out',
    plants: [
      {
        file: 'shard/group-queue.js',
        find: `if (this.inFlight > 0 || !this.takenOut.isEmpty)
            return true;`,
        replace: '',
      },
    ],
    watcher: ORDERED,
  },
  {
    name: 'members that wait stay outside when the last of the others goes',
    plants: [
      {
        file: 'membership/consumer-group.js',
        find: `        this.isMoved = true;
        this.changeTerms();`,
        replace: '        this.isMoved = true;',
      },
    ],
    watcher: MEMBERS,
  },
  {
    name: 'an offset to which retention has moved the group is not in the log',
    plants: [
      {
        file: 'shard/offset-path.js',
        find: 'const isLogged = offset !== queue.minOffset || offset === 0;',
        replace: 'const isLogged = true;',
      },
    ],
    watcher: { kind: 'test', file: 'shard/offset-path.test.js' },
  },
];
