/** What retention lets go does go, also when nothing more is sent. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KIB } from '../../src/base/units.ts';
import { snapshotPositions } from '../../src/log/snapshot.ts';
import { Drive } from '../../src/testing/boundary-drive.ts';

const SEGMENT_BYTES = 16 * KIB;

test('after a burst the log becomes as short as it should be, without another message', () => {
  const kept = 2 * SEGMENT_BYTES;
  const drive = new Drive({ segmentBytes: SEGMENT_BYTES, retentionBytes: kept }, 1);
  drive.open();
  const topic = drive.topic('burst', 'plain');
  // Fewer segments than make a snapshot due by themselves.
  drive.sendAll(topic, 20, 4000);
  const { agent } = drive.world.rig;
  const bytes = (): number => agent.context.log.appended - agent.keeper.logStart;
  assert.ok(bytes() > 4 * SEGMENT_BYTES, `the burst was fast: ${bytes()}`);
  for (let second = 0; second < 30; second += 1) drive.pass(1000);
  assert.ok(bytes() <= kept + SEGMENT_BYTES, `${bytes()} bytes are left`);
});

test('so it does when a snapshot was made in the middle of the burst, and then nothing more is written', () => {
  const kept = 2 * SEGMENT_BYTES;
  const drive = new Drive({ segmentBytes: SEGMENT_BYTES, retentionBytes: kept }, 1);
  drive.open();
  const topic = drive.topic('burst', 'plain');
  // The older of the two snapshots that are kept is one of these, and holds what is behind it.
  drive.sendAll(topic, 36, 4000);
  drive.pass(1000);
  drive.sendAll(topic, 30, 4000);
  const { agent } = drive.world.rig;
  const bytes = (): number => agent.context.log.appended - agent.keeper.logStart;
  for (let second = 0; second < 60; second += 1) drive.pass(1000);
  assert.ok(bytes() <= kept + SEGMENT_BYTES, `${bytes()} bytes are left`);
  const { appended } = agent.context.log;
  const snapshots = agent.keeper.snapshotCount;
  for (let second = 0; second < 60; second += 1) drive.pass(1000);
  assert.equal(agent.keeper.snapshotCount, snapshots, 'a quiet shard leaves its disk alone');
  assert.equal(agent.context.log.appended, appended, 'and writes nothing');
});

test('nothing goes as long as one snapshot stands alone: were it damaged, recovery would need the log from its beginning', () => {
  const drive = new Drive({ segmentBytes: SEGMENT_BYTES, retentionBytes: 2 * SEGMENT_BYTES }, 1);
  drive.open();
  const topic = drive.topic('burst', 'plain');
  const { agent } = drive.world.rig;
  const { storage } = drive.world.shard;
  for (let round = 0; round < 60 && agent.keeper.logStart === 0; round += 1) {
    drive.sendAll(topic, 4, 4000);
    drive.pass(250);
  }
  assert.ok(agent.keeper.logStart > 0, 'retention has let go');
  const [newest, oldest] = snapshotPositions(storage);
  assert.ok(newest !== undefined && oldest !== undefined, 'of two snapshots');
});
