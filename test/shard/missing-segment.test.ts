/** A segment whose file is gone: what retention let go is no news, what somebody deleted is reported and skipped. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { releasedName, segmentName } from '../../src/log/file-names.ts';
import { releasedSegments } from '../../src/log/released.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import {
  RIG_CONFIG,
  type RigRecord,
  type RigReply,
  rigTopic,
  ShardRig,
} from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const T = 1;
const MESSAGES = 900;
const BODY_BYTES = 400;
/** Longer than the upkeep, and than what lies between two snapshots. */
const UPKEEP_MS = 6000;

type Rig = { readonly rig: ShardRig; readonly clock: SimClock; readonly disk: SimStorage };

/** Several sealed segments that the newest snapshot names, with `retentionBytes` for the topic. */
function filled(retentionBytes: number | null): Rig {
  const clock = new SimClock();
  const disk = new SimStorage({ prng: seededPrng(1) });
  const rig = new ShardRig(disk, clock);
  rig.settle();
  rig.control({ op: 'putTopic', topic: { ...rigTopic(T, 'orders', 1), retentionBytes } });
  send(rig, 0, MESSAGES);
  upkeep({ rig, clock, disk });
  return { rig, clock, disk };
}

function send(rig: ShardRig, from: number, count: number): void {
  for (let at = from; at < from + count; at += 1) {
    rig.produce(T, 0, [{ body: `m${at}`.padEnd(BODY_BYTES, '.'), bodyKind: BODY_TEXT }]);
    rig.settle(6);
  }
  rig.settle();
}

function upkeep({ rig, clock }: Rig): void {
  for (let round = 0; round < 3; round += 1) {
    clock.advance(UPKEEP_MS);
    rig.settle();
  }
}

/** Opens the same disk again, as after a kill. */
function reopened({ disk, clock }: Rig): { readonly rig: ShardRig; readonly rot: RotEvent[] } {
  const rig = new ShardRig(disk, clock);
  return { rig, rot: rotIn(rig.settle()) };
}

type RotEvent = { readonly from: number; readonly to: number; readonly message: string };

function rotIn(replies: readonly RigReply[]): RotEvent[] {
  const rot: RotEvent[] = [];
  for (const reply of replies)
    if (reply.kind === 'event' && reply.event.event === 'rot') rot.push(reply.event);
  return rot;
}

/** All that is served from `from` on. */
function read(rig: ShardRig, from: number, end: number): RigRecord[] {
  const found: RigRecord[] = [];
  for (let offset = from; offset < end; ) {
    rig.fetch(T, 0, offset);
    const fetched = rig.settle().find((reply) => reply.kind === 'fetched');
    assert.ok(fetched?.kind === 'fetched' && fetched.next > offset, `an answer at ${offset}`);
    found.push(...fetched.records);
    offset = fetched.next;
  }
  return found;
}

for (const segment of [0, 2]) {
  test(`segment ${segment} deleted by hand: reported with its range and its file, skipped, no offset given out again`, () => {
    const before = filled(null);
    assert.ok(before.disk.exists(segmentName(segment + 2)), 'there are segments behind it');
    before.disk.remove(segmentName(segment));
    const { rig, rot } = reopened(before);
    const from = segment * RIG_CONFIG.segmentBytes;
    const ranges = rot.map((one) => [one.from, one.to]);
    assert.deepEqual(ranges, [[from, from + RIG_CONFIG.segmentBytes]]);
    assert.match(rot[0]?.message ?? '', new RegExp(segmentName(segment)));
    rig.fetch(T, 0, MESSAGES - 1);
    const last = rig.settle().find((reply) => reply.kind === 'fetched');
    const min = last?.kind === 'fetched' ? last.min : -1;
    const found = read(rig, min, MESSAGES);
    for (const { offset, body } of found) assert.ok(body.startsWith(`m${offset}.`), `at ${offset}`);
    assert.equal(found.at(-1)?.offset, MESSAGES - 1);
    const lost = MESSAGES - found.length;
    assert.ok(lost > 50 && lost < 200, `the messages of one segment are lost, not ${lost}`);
    assert.equal(min, segment === 0 ? lost : 0);
    rig.produce(T, 0, [{ body: 'next', bodyKind: BODY_TEXT }]);
    const produced = rig.settle().find((reply) => reply.kind === 'produced');
    assert.equal(produced?.kind === 'produced' && produced.baseOffset, MESSAGES);
  });
}

test('what retention let go is no damage, whether its file was removed or used again, with an old snapshot as well', () => {
  const store = filled(2 * RIG_CONFIG.segmentBytes);
  let sent = MESSAGES;
  let renamed = 0;
  for (let round = 0; round < 6; round += 1) {
    // Retention runs without a new snapshot, so that the newest still names what goes.
    send(store.rig, sent, 170);
    sent += 170;
    store.clock.advance(1100);
    store.rig.settle();
    const released = releasedSegments(store.disk);
    renamed += released.filter((one) => !store.disk.exists(segmentName(one))).length;
    const disk = store.disk.clone(seededPrng(round));
    disk.crash(seededPrng(round));
    assert.deepEqual(reopened({ ...store, disk }).rot, [], `round ${round}`);
  }
  assert.ok(renamed > 0, 'some files were gone while a mark said so');
  upkeep(store);
  send(store.rig, sent, 170);
  upkeep(store);
  send(store.rig, sent + 170, 170);
  upkeep(store);
  assert.ok(releasedSegments(store.disk).length < 8, 'marks do not pile up');
});

test('a segment that was let go and is kept for its file: what is behind it and gone is not offered', () => {
  const store = filled(null);
  // Retention has let go of 0 to 2 behind the snapshot; the file of 1 waits to be used again.
  for (const segment of [0, 1, 2]) store.disk.open(releasedName(segment), true).close();
  for (const segment of [0, 2]) store.disk.remove(segmentName(segment));
  const { rig, rot } = reopened(store);
  assert.deepEqual(rot, []);
  rig.fetch(T, 0, MESSAGES - 1);
  const last = rig.settle().find((reply) => reply.kind === 'fetched');
  const min = last?.kind === 'fetched' ? last.min : -1;
  const found = read(rig, min, MESSAGES);
  assert.equal(found[0]?.offset, min);
  assert.equal(found.length, MESSAGES - min, 'from the first offset on nothing is missing');
});

test('a mark of a segment that is there after all says nothing', () => {
  const store = filled(null);
  store.disk.open(releasedName(0), true).close();
  reopened(store);
  assert.deepEqual(releasedSegments(store.disk), []);
});
