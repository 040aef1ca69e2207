/**
 * Partitions on real network stacks: NameServer, SYNC_MASTER, slave and client on hosts of their own (network namespaces), ways
 * between them cut one way and both, silently. Needs Linux, root and iproute2; without them everything is skipped and says why.
 *
 *   npm run test:netns
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { NET_HOSTS, type NetReport } from '../../src/testing/net-drill.ts';
import { NetLab, netLabObstacle } from '../../src/testing/net-lab.ts';

const DRILL = fileURLToPath(new URL('../../src/testing/net-drill-main.js', import.meta.url));
const DRILL_MS_MAX = 800_000;

/** Says each datagram that comes. */
const LISTEN = `require('node:dgram').createSocket('udp4').on('message', (m) => console.log(String(m)))
  .bind(9, () => console.log('ready'))`;
const tell = (address: string, text: string): string =>
  `const s = require('node:dgram').createSocket('udp4'); s.send('${text}', 9, '${address}', () => s.close())`;

/** Runs on a host to its end. @returns its stdout */
async function run(lab: NetLab, host: string, words: readonly string[]): Promise<string> {
  const [command = '', ...rest] = [...lab.on(host), process.execPath, ...words];
  const options = { timeout: DRILL_MS_MAX, maxBuffer: 2 ** 26 };
  return (await promisify(execFile)(command, rest, options)).stdout;
}

describe('hosts of their own', { skip: netLabObstacle() ?? false }, () => {
  let lab: NetLab;
  before(() => {
    lab = NetLab.create(NET_HOSTS);
  });
  after(() => lab.remove());

  it('hear each other, and of a cut way only the other direction', async () => {
    const [command = '', ...rest] = [...lab.on('a'), process.execPath, '-e', LISTEN];
    const listener = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const heard: string[] = [];
      listener.stdout.setEncoding('utf8').on('data', (text: string) => {
        heard.push(...text.trim().split('\n'));
      });
      const say = (host: string, text: string): Promise<string> =>
        run(lab, host, ['-e', tell(lab.addressOf('a'), text)]);
      const waitFor = async (text: string): Promise<void> => {
        while (!heard.includes(text)) await once(listener.stdout, 'data');
      };
      await waitFor('ready');
      lab.cut('a', 'a-s');
      await say('a-s', 'the other direction');
      await waitFor('the other direction');
      lab.heal('a', 'a-s');
      lab.cut('a-s', 'a');
      await say('a-s', 'cut');
      await say('client', 'somebody else');
      await waitFor('somebody else');
      lab.heal('a-s', 'a');
      await say('a-s', 'healed');
      await waitFor('healed');
      assert.ok(!heard.includes('cut'), heard.join());
    } finally {
      listener.kill('SIGKILL');
    }
  });

  it('lose, double and reorder nothing in any cut, and a cut-off SYNC_MASTER never says sent', async (t) => {
    const root = mkdtempSync(join(tmpdir(), 'sluice-netns-'));
    const words = [DRILL, JSON.stringify(lab.plan), root];
    const report = JSON.parse(await run(lab, 'client', words)) as NetReport;
    t.diagnostic(JSON.stringify(report));
    const { lost, duplicated, reordered, unexpected, acknowledged } = report.load;
    assert.deepEqual(
      { lost, duplicated, reordered, unexpected },
      {
        ...{ lost: 0, duplicated: 0, reordered: 0, unexpected: 0 },
      },
    );
    assert.ok(acknowledged > 0);
    const stopped = report.cuts.filter(({ stopsReplication }) => stopsReplication);
    const refusals = ['FLUSH_SLAVE_TIMEOUT', 'SLAVE_NOT_AVAILABLE'];
    for (const cut of stopped) {
      const codes = Object.keys(cut.answers);
      assert.deepEqual(
        codes.filter((code) => !refusals.includes(code)),
        [],
        cut.name,
      );
      assert.ok(codes.includes('SLAVE_NOT_AVAILABLE'), cut.name);
      assert.equal(cut.acknowledged, 0, cut.name);
    }
    // Of one cut none, where the client stood still until the master had given the slave up.
    assert.ok(stopped.some(({ answers }) => (answers['FLUSH_SLAVE_TIMEOUT'] ?? 0) > 0));
    const deaf = report.cuts.find(({ name }) => name.startsWith('the client'));
    assert.ok((deaf?.disconnected ?? 0) > 0);
    const alone = report.cuts.find(({ name }) => name.startsWith('nobody'));
    const { sent: sentAlone = 0, FLUSH_SLAVE_TIMEOUT: _, ...others } = alone?.answers ?? {};
    // A slave that had to wait for the processor is late, as anywhere.
    assert.deepEqual(others, {});
    assert.ok(sentAlone > 0);
    assert.ok((alone?.acknowledged ?? 0) > 0);
    const { sent, ...wrong } = report.single;
    assert.ok(sent > 0);
    assert.deepEqual(wrong, { lost: 0, storedAllTheSame: 0, doubled: 0 });
  });
});
