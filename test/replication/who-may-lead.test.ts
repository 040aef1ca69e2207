/** A synchronous master that does not know whether it has everything takes no sends before the right slaves were compared. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import {
  GATE_NO_SLAVE,
  GATE_UNDECIDED,
  LOG_MEMORY_BYTES,
  LogMemory,
} from '../../src/log/log-memory.ts';
import type { Storage } from '../../src/log/storage.ts';
import type { ReplicaState } from '../../src/protocol/shard-control.ts';
import type { LogSource } from '../../src/replication/log-source.ts';
import { MasterShard } from '../../src/replication/master-shard.ts';
import type { ReplicaLink } from '../../src/replication/replica-link.ts';
import type { ShardDoor } from '../../src/replication/shard-door.ts';

/** The log of a broker that has been promoted: `b` and `c` were its master's slaves once, as this one was. */
const STATE: ReplicaState = {
  ...{ logId: 'one', epochs: [{ epoch: 1, first: 0 }], replicas: ['a', 'b', 'c'] },
  ...{ appended: 1000, lastHeaderAt: 900, isFollowing: true },
};

function newMaster(): { master: MasterShard; gate: () => number } {
  const memory = new LogMemory(new SharedArrayBuffer(LOG_MEMORY_BYTES), 0);
  const door = {
    poll: () => 0,
    askState: (onAnswer: (state: ReplicaState) => void) => {
      onAnswer(STATE);
      return true;
    },
  };
  const master = new MasterShard({
    ...{ shard: 0, shards: 1, epoch: 2, name: 'a', secret: '', isSyncMaster: true },
    ...{ inSyncReplicas: 2, isSyncFlush: true, fallBehindBytesMax: 1_000_000, memory },
    ...{ source: {} as LogSource, storage: {} as Storage, door: door as ShardDoor },
    ...{ clock: systemClock, nonce: () => new Uint8Array(32), onRefused: () => {} },
  });
  const gate = (): number => {
    master.doWork();
    return memory.gate();
  };
  return { master, gate };
}

const slave = (name: string): ReplicaLink => ({ name }) as ReplicaLink;

describe('who may lead', () => {
  it('one that has compared with as many of its master’s slaves as can lack a message together', () => {
    const { master, gate } = newMaster();
    assert.equal(gate(), GATE_UNDECIDED);
    master.compared(slave('b'));
    assert.equal(gate(), GATE_UNDECIDED);
    master.compared(slave('c'));
    assert.equal(gate(), GATE_NO_SLAVE);
  });

  it('not one that has compared with brokers that never were slaves of this log', () => {
    const { master, gate } = newMaster();
    master.compared(slave('b'));
    for (const stranger of ['x', 'y', 'z']) master.compared(slave(stranger));
    assert.equal(gate(), GATE_UNDECIDED);
  });
});
