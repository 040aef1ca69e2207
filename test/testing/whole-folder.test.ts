/** A folder of fetched or compiled things is there whole or not at all. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ensureWhole } from '../../src/testing/whole-folder.ts';

test('a folder is made once, and not at all when the making fails', () => {
  const root = mkdtempSync(join(tmpdir(), 'sluice-whole-'));
  const folder = join(root, 'target', 'classes');
  try {
    const put = (text: string) => (beside: string) => writeFileSync(join(beside, 'a'), text);
    assert.throws(() =>
      ensureWhole(folder, (beside) => {
        put('half')(beside);
        throw new Error('no network');
      }),
    );
    assert.deepEqual(readdirSync(join(root, 'target')), []);
    ensureWhole(folder, put('1'));
    ensureWhole(folder, () => assert.fail('it is there'));
    assert.equal(readFileSync(join(folder, 'a'), 'utf8'), '1');
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('of two that make it at the same time, the first is kept', () => {
  const root = mkdtempSync(join(tmpdir(), 'sluice-whole-'));
  const folder = join(root, 'classes');
  try {
    ensureWhole(folder, (beside) => {
      writeFileSync(join(beside, 'a'), 'second');
      // Somebody else is faster; in another process, so beside has another name there.
      const theirs = `${folder}.theirs`;
      ensureWhole(theirs, (other) => writeFileSync(join(other, 'a'), 'first'));
      renameSync(theirs, folder);
    });
    assert.equal(readFileSync(join(folder, 'a'), 'utf8'), 'first');
    assert.deepEqual(readdirSync(root), ['classes']);
  } finally {
    rmSync(root, { recursive: true });
  }
});
