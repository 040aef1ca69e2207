/** A slave that is started again says of its log what it said before, wherever that ends: its master has no reason to refuse it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { segmentName } from '../../src/log/file-names.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import { fillToRest } from '../../src/testing/chunk-rest.ts';
import { RIG_CONFIG, rigTopic, type ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import { SimNetwork } from '../../src/testing/sim-network.ts';
import { SimNode } from '../../src/testing/sim-node.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const T = 1;
const REIGN = { epoch: 1, master: 'a' };
/** Bytes of the rest of a chunk: no header has room in them. */
const REST_BYTES = 32;
/** Longer than it takes to be dialled and compared. */
const STEPS = 300;

type Pair = { readonly master: SimNode; readonly slave: SimNode; readonly step: () => void };

function newPair(ack: 'ASYNC_MASTER' | 'SYNC_MASTER'): Pair {
  const clock = new SimClock();
  const network = new SimNetwork(seededPrng(1), clock);
  const [master, slave] = ['a', 'b'].map(
    (name, index) =>
      new SimNode({
        ...{ name, clock, network, config: RIG_CONFIG, prng: seededPrng(index) },
        storage: new SimStorage({ prng: seededPrng(index), clock }),
        ack: { ack, inSyncReplicas: 2, syncFlushTimeoutMs: 1000 },
      }),
  ) as [SimNode, SimNode];
  const step = (): void => {
    clock.advance(1);
    network.step();
    for (const node of [master, slave].filter(({ isAlive }) => isAlive))
      for (const part of ['replication', 'agent', 'flusher', 'job', 'replication'] as const)
        node.step(part);
    master.rig?.take();
    slave.rig?.take();
  };
  for (const node of [master, slave]) assert.ok(node.open(REIGN));
  return { master, slave, step };
}

const endOf = ({ rig }: SimNode): number | undefined => rig?.memory.appended.observe();

function fileOf({ storage }: SimNode): Uint8Array {
  const bytes = new Uint8Array(RIG_CONFIG.segmentBytes);
  const file = storage.open(segmentName(0), false);
  file.read(bytes, 0);
  file.close();
  return bytes;
}

describe('a slave that is started again', () => {
  for (const ack of ['ASYNC_MASTER', 'SYNC_MASTER'] as const) {
    it(`follows a quiet master whose log ends at the rest of a chunk (${ack})`, () => {
      const { master, slave, step } = newPair(ack);
      const steps = (): void => {
        for (let at = 0; at < STEPS; at += 1) step();
      };
      steps();
      const rig = master.rig as ShardRig;
      rig.control({ op: 'putTopic', topic: rigTopic(T, 'orders', 1) });
      steps();
      fillToRest(rig, {
        ...{ topicId: T, restBytes: REST_BYTES },
        settle: () => {
          for (let at = 0; at < 20; at += 1) step();
        },
      });
      steps();
      assert.equal(endOf(slave), endOf(master));
      slave.end('kill');
      steps();
      assert.ok(slave.open(REIGN));
      steps();
      assert.deepEqual(slave.refusals, []);
      assert.equal(slave.slave?.phase, 'streaming');
      assert.equal(endOf(slave), endOf(master));
      const before = endOf(master) as number;
      rig.produce(T, 0, [{ body: 'the next', bodyKind: BODY_TEXT }]);
      steps();
      assert.ok((endOf(master) as number) > before + REST_BYTES, 'the master takes writes');
      assert.equal(endOf(slave), endOf(master));
      assert.deepEqual(fileOf(slave), fileOf(master));
    });
  }
});
