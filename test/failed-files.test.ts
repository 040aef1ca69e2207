import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestEvent } from 'node:test/reporters';
import failedFiles, { type FailedTest, filesToRunAgain, readFailed } from './failed-files.ts';

const ROOT = '/dist/test';

function failed(...files: readonly string[]): readonly FailedTest[] {
  return files.map((file) => ({ file: join(ROOT, file), name: 'one', message: 'no' }));
}

async function* events(...data: readonly object[]): AsyncGenerator<TestEvent> {
  yield* data.map((one) => ({ type: 'test:fail', data: one }) as TestEvent);
}

describe('what a gate may run a second time', () => {
  it('is a file of programs that are not ours, once for all its tests', () => {
    const file = 'interop/java-client.test.js';
    assert.deepEqual(filesToRunAgain(failed(file, file), ROOT), [join(ROOT, file)]);
  });

  it('is nothing where one of the failures is of what proves a promise', () => {
    for (const proof of [
      'simulation/seeds-1',
      'mutants/recovery',
      'e2e/kill-during-load',
      'race/threads',
      'log/segment',
      'replication/link',
      'interop/java-kill',
    ])
      assert.deepEqual(
        filesToRunAgain(failed('cli/serve.test.js', `${proof}.test.js`), ROOT),
        [],
        proof,
      );
  });

  it('is nothing where it is not known which file failed, or many did', () => {
    assert.deepEqual(filesToRunAgain(failed('../src/testing/client-laws.js'), ROOT), []);
    assert.deepEqual(
      filesToRunAgain(failed(...['a', 'b', 'c', 'd'].map((one) => `cli/${one}.test.js`)), ROOT),
      [],
    );
  });
});

describe('the reporter of failed tests', () => {
  it('names the tests, not the suites around them', async () => {
    const lines: string[] = [];
    const error = (cause: unknown): { error: Error } => ({
      error: new Error('wrapped', { cause }),
    });
    for await (const line of failedFiles(
      events(
        {
          name: 'closes',
          file: '/dist/test/cli/a.test.js',
          details: error(new Error('still open')),
        },
        { name: 'a door', file: '/dist/test/cli/a.test.js', details: error('1 subtest failed') },
        { name: '/dist/test/cli/b.test.js', details: error('test failed') },
      ),
    ))
      lines.push(line);
    const folder = mkdtempSync(join(tmpdir(), 'sluice-failed-'));
    try {
      writeFileSync(join(folder, 'failed'), lines.join(''));
      assert.deepEqual(readFailed(join(folder, 'failed')), [
        { file: '/dist/test/cli/a.test.js', name: 'closes', message: 'still open' },
        {
          file: '/dist/test/cli/b.test.js',
          name: '/dist/test/cli/b.test.js',
          message: 'test failed',
        },
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
