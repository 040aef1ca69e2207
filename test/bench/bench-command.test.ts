import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { BenchResult } from '../../src/bench/bench-result.ts';
import { createBroker } from '../../src/broker/create-broker.ts';
import { connect } from '../../src/testing/patient-client.ts';

const COMMAND = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** What scripts may count on, in every mode. */
const FIELDS: readonly string[] = [
  ...['messagesPerSecond', 'bytesPerSecond', 'p50Ms', 'p99Ms', 'p999Ms', 'maxMs', 'acked', 'lost'],
  ...['duplicated', 'limitBytesPerSecond', 'ratioToLimit', 'limits', 'serverRssBytes'],
  ...['transport', 'flush', 'mode', 'size', 'seconds', 'connections', 'batchBytes', 'cpu'],
];

type Ended = { readonly code: number; readonly lines: readonly string[] };

function sluice(words: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [COMMAND, ...words], (error, stdout) => {
      const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : 1;
      resolve({ code, lines: stdout.trim().split('\n') });
    });
  });
}

describe('sluice bench', () => {
  it('measures a broker that runs already, and leaves nothing behind', async () => {
    await using broker = await createBroker({ memory: true });
    const small = ['--seconds', '0.2', '--connections', '2', '--limit-seconds', '0.05', '--json'];
    const at = ['--url', broker.ready.ws];
    const runs = [
      ['produce', '--prepared', '--batch-bytes', '4096'],
      ['produce', '--frame-per-message', '--size', '64'],
      ['latency', '--rate', '2000'],
    ];
    for (const words of runs) {
      const { code, lines } = await sluice(['bench', ...words, ...at, ...small]);
      assert.equal(code, 0, lines.join('\n'));
      assert.equal(lines.length, 1, 'the result is the only line');
      const result = JSON.parse(lines[0] ?? '') as BenchResult;
      for (const field of FIELDS) assert.ok(field in result, `${words.join(' ')}: ${field}`);
      assert.equal(result.mode, words[0]);
      assert.ok(result.acked > 0 && result.messagesPerSecond > 0, lines[0]);
      assert.deepEqual(
        [result.lost, result.duplicated, result.reordered, result.damaged],
        [0, 0, 0, 0],
      );
      assert.equal(
        result.limits.disk,
        null,
        'the disk of a broker elsewhere is not ours to measure',
      );
      assert.ok((result.limits.loopback ?? 0) > 0 && (result.ratioToLimit ?? 0) > 0);
      assert.ok((result.p50Ms ?? 0) > 0 && (result.maxMs ?? 0) >= (result.p50Ms ?? 0));
      assert.ok((result.serverRssBytes ?? 0) > 1_000_000);
    }
    const client = await connect({ servers: broker.ready.ws });
    assert.deepEqual(await client.admin.topics(), { topics: [] });
    assert.deepEqual(await client.admin.groups(), { groups: [] });
    await client.close();
  });

  it('refuses what makes no sense as wrong usage, and says what is allowed', async () => {
    const wrong = [
      ['produce', '--size', '8'],
      ['produce', '--batch-bytes', '10'],
      ['produce', '--prepared', '--frame-per-message'],
      ['latency', '--window', '100000'],
      ['latency', '--rate', 'fast'],
      ['consume', '--flush', 'never'],
      ['produce', '--url', 'http://['],
      ['everything'],
    ];
    for (const words of wrong) {
      const { code, lines } = await sluice(['bench', ...words, '--json']);
      assert.equal(code, 2, `${words.join(' ')}: ${lines.join('\n')}`);
      assert.match(lines[0] ?? '', /"error"/);
    }
  });

  it('fails with a reason where no broker is', async () => {
    const { code, lines } = await sluice([
      'bench',
      'produce',
      '--url',
      'ws://127.0.0.1:1',
      '--json',
    ]);
    assert.equal(code, 1);
    const { error } = JSON.parse(lines[0] ?? '') as { error: { code: string; hint: string } };
    assert.equal(error.code, 'DISCONNECTED');
    assert.ok(error.hint.length > 0);
  });
});
