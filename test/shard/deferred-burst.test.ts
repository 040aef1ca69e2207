/** Many delayed messages due at once: they become visible in portions, so that whoever sends meanwhile does not wait for all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KIB, MIB } from '../../src/base/units.ts';
import { MemoryStorage } from '../../src/log/memory-storage.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import { RIG_CONFIG, rigTopic, ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';

const T = 1;
const MESSAGES = 400;
const BODY = 'x'.repeat(8000);
/** What may be uncommitted of copies, and one of them that was begun before the bound was reached. */
const PORTION_BYTES_MAX = 512 * KIB + 16 * KIB;

type Rig = { readonly rig: ShardRig; readonly clock: SimClock };

/** A shard where 3 MB wait for the next second. */
function loaded(): Rig {
  const clock = new SimClock();
  const shape = { segmentBytes: 16 * MIB, tailBytes: 8 * MIB };
  const rig = new ShardRig(new MemoryStorage(64 * MIB), clock, { ...RIG_CONFIG, ...shape });
  rig.settle();
  rig.control({ op: 'putTopic', topic: rigTopic(T, 'orders', 1) });
  rig.settle();
  const dueAtMs = clock.epochMs() + 100_000;
  for (let index = 0; index < MESSAGES; index += 1) {
    const record = { body: BODY, bodyKind: BODY_TEXT } as const;
    assert.notEqual(rig.produce(T, 0, [record], undefined, { dueAtMs }), 0);
    rig.settle();
  }
  clock.advance(200_000);
  return { rig, clock };
}

const appendedOf = ({ rig }: Rig): number => rig.agent.context.log.appended;

function workAlone({ rig, clock }: Rig, cycles: number): void {
  for (let cycle = 0; cycle < cycles; cycle += 1) {
    clock.advance(1);
    rig.agent.doWork();
    rig.stepJob();
    rig.take();
  }
}

test('a barrier that does not come holds a burst up after a portion of it', () => {
  const one = loaded();
  const before = appendedOf(one);
  workAlone(one, 100);
  const portion = appendedOf(one) - before;
  assert.ok(portion > 256 * KIB && portion < PORTION_BYTES_MAX, `${portion} bytes`);
});

test('each barrier lets a portion go on, however much is sent meanwhile', () => {
  const one = loaded();
  const { rig } = one;
  const queue = rig.agent.context.state.queue(T, 0);
  let barriers = 0;
  for (; barriers < 100 && rig.agent.context.state.deferred.table.size > 0; barriers += 1) {
    // Senders keep more uncommitted than a portion, all the time.
    for (let index = 0; index < 30; index += 1)
      rig.produce(T, 0, [{ body: 'y'.repeat(7000), bodyKind: BODY_TEXT }]);
    workAlone(one, 3);
    rig.flusher.doWork();
  }
  rig.settle();
  assert.equal(rig.agent.context.state.deferred.table.size, 0);
  assert.ok(barriers < 30, `${barriers} barriers`);
  assert.equal(queue?.visibleEnd, queue?.endOffset);
});
