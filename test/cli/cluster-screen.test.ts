/** The live table of a cluster on terminals of different sizes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clusterLines, drawOver } from '../../src/cli/cluster-screen.ts';
import type { ProcessStatus } from '../../src/cluster/cluster-status.ts';

const NAMESRV: ProcessStatus = {
  ...{ name: 'namesrv', state: 'up', role: 'namesrv', brokerName: null, brokerId: null },
  ...{ address: '127.0.0.1:9876', haAddress: null, epoch: null, appended: null, commit: null },
  ...{ lagBytes: null, isFollowed: false, bytesPerSecond: null },
};

function broker(brokerName: string, brokerId: number): ProcessStatus {
  const isMaster = brokerId === 0;
  return {
    ...{ name: isMaster ? brokerName : `${brokerName}-s`, state: 'up', brokerName, brokerId },
    role: isMaster ? 'SYNC_MASTER' : 'SLAVE',
    address: '127.0.0.1:19877',
    haAddress: isMaster ? '127.0.0.1:19878' : null,
    ...{ epoch: 12, appended: 9_876_543_210, commit: 9_876_543_200, isFollowed: isMaster },
    lagBytes: isMaster ? 1_023_900 : null,
    bytesPerSecond: 104_857_599,
  };
}

const view = {
  processes: [
    ...[NAMESRV, broker('broker-a', 0), broker('broker-a', 1)],
    ...[broker('broker-b', 0), broker('broker-b', 1)],
  ],
  root: `/srv/${'a-long-name/'.repeat(12)}cluster`,
  namesrvAddr: '127.0.0.1:9876',
};

const at = (columns: number, rows = 30): readonly string[] => clusterLines(view, { columns, rows });
const headings = (lines: readonly string[]): string => (lines[0] ?? '').replace(/ {2,}/g, '|');

describe('the table of a cluster', () => {
  it('fits on terminals of every width, what stands in the files left out first', () => {
    for (let columns = 20; columns <= 200; columns += 1)
      for (const line of at(columns)) assert.ok(line.length <= columns, `${columns}: ${line}`);
    const all = 'process|state|role|id|address|slaves at|epoch|appended|commit|lag|a second';
    assert.equal(headings(at(140)), all);
    assert.equal(headings(at(120)), all.replace('slaves at|', ''));
    assert.equal(headings(at(80)), 'process|state|role|appended|lag|a second');
    assert.equal(headings(at(40)), 'process|state|role');
  });

  it('has a line for each process at every width, and the rest below', () => {
    for (const columns of [40, 80, 120]) {
      const lines = at(columns);
      assert.equal(lines.length, 1 + 5 + 1 + 3);
      assert.match(lines[2] ?? '', /^broker-a +up/);
      assert.equal(lines.at(-1), 'Ctrl-C stops it.');
    }
  });

  it('is cut at the lower edge, and whole where there is no terminal', () => {
    assert.equal(at(80, 6).length, 5);
    assert.equal(clusterLines(view).length, 10);
    assert.ok(clusterLines(view).some((line) => line.endsWith(view.root)));
  });

  it('is drawn over the one before without clearing the screen', () => {
    assert.equal(drawOver(['a', 'b']), '\u001b[Ha\u001b[K\nb\u001b[K\n\u001b[J');
  });
});
