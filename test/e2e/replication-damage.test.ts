/** Damage in a master's log: its slave has the same file, byte for byte, and puts it right. */
import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { runCli } from '../../src/testing/cli-run.ts';
import { BrokerPair, postJson, untilCaughtUp } from '../../src/testing/e2e-pair.ts';
import { connect } from '../../src/testing/patient-client.ts';

const MESSAGES = 40;
const BODY_BYTES = 60_000;
const bodyOf = (n: number): string => `${n} `.padEnd(BODY_BYTES, 'x');

function firstSegment(pair: BrokerPair, name: string): string {
  const directory = join(pair.directory(name), 'shard-0');
  const [first = ''] = readdirSync(directory)
    .filter((file) => file.endsWith('.seg'))
    .sort();
  return join(directory, first);
}

test('a sealed segment of the slave takes the place of a damaged one of its master', async () => {
  const pair = new BrokerPair();
  try {
    const haPort = await claimPort();
    let master = await pair.startMaster({ haListenPort: haPort });
    const slave = await pair.startSlave(master, { haListenPort: await claimPort() });
    await postJson(`${master.http}/api/topics`, { topic: 'orders', queues: 1 });
    for (let n = 0; n < MESSAGES; n += 1) {
      const sent = await postJson(`${master.http}/v1/topics/orders/messages`, { body: bodyOf(n) });
      assert.equal(sent.status, 200);
    }
    await untilCaughtUp(master, slave);
    await master.kill();

    const [damaged, whole] = [firstSegment(pair, 'a'), firstSegment(pair, 'b')];
    const bytes = readFileSync(damaged);
    const half = bytes.length / 2;
    for (let at = half; at < half + 4096; at += 1) bytes[at] = (bytes[at] ?? 0) ^ 0x5a;
    writeFileSync(damaged, bytes);
    const verify = ['inspect', pair.directory('a'), '--verify'];
    assert.equal((await runCli(verify)).code, 1, 'the damage is found');

    // The slave runs meanwhile: nothing changes in a segment that is full.
    copyFileSync(whole, damaged);
    const { code, stdout } = await runCli(verify);
    assert.equal(code, 0, stdout);
    master = await pair.startMaster({ haListenPort: haPort });
    await untilCaughtUp(master, slave);
    const client = await connect({ servers: [master.ws] });
    for (let offset = 0; offset < MESSAGES; ) {
      const page = await client.fetch({ topic: 'orders', queueId: 0, offset });
      for (const { body, queueOffset } of page.messages) assert.equal(body, bodyOf(queueOffset));
      assert.ok(page.nextOffset > offset);
      offset = page.nextOffset;
    }
    await client.close();
  } finally {
    await pair.end();
  }
});
