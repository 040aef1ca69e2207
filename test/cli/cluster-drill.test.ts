/**
 * Faults practised on real processes. Two of them here, the shortest that are worth it; all six with CLUSTER_DRILLS=1, with
 * the time that each fault lasts in CLUSTER_DRILL_SECONDS.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS } from '../../src/cluster/drill-table.ts';
import { runCli, temporaryDirectory } from '../../src/testing/cli-run.ts';

const env = {
  SLUICE_SEGMENT_BYTES: '1MiB',
  SLUICE_TAIL_BYTES: '1MiB',
  SLUICE_RING_BYTES: '16MiB',
  SLUICE_MAX_MESSAGE_SIZE: '64KiB',
  SLUICE_SHARDS: '1',
};

const SECONDS = process.env['CLUSTER_DRILL_SECONDS'] ?? '2';
const RATE = '200';

async function drill(words: readonly string[]): Promise<void> {
  const { path, remove } = temporaryDirectory();
  const common = ['--data', path, '--seconds', SECONDS, '--rate', RATE, '--json'];
  const { code, stdout, stderr, values } = await runCli(['cluster', 'drill', ...words, ...common], {
    env,
  });
  assert.equal(code, 0, `${stdout}${stderr}`);
  const [report] = values;
  assert.equal(report?.['kept'], true, stdout);
  assert.equal(report?.['drill'], words[0]);
  assert.ok(Number(report?.['acknowledged']) > 0, stdout);
  remove();
}

test('NameServers die and come back empty: nobody notices', () =>
  drill(['kill-namesrv', '--shape', '1m']));

test('one of two masters is killed: the other takes messages, and nothing is lost', () =>
  drill(['kill-master', '--shape', '2m']));

const isLong = process.env['CLUSTER_DRILLS'] === '1';
for (const fault of FAULTS)
  for (const shape of ['2m-2s-async', '2m-2s-sync'])
    test(
      `${fault} on ${shape} keeps the promise`,
      { skip: isLong ? false : 'CLUSTER_DRILLS=1 runs it' },
      () => drill([fault, '--shape', shape]),
    );
