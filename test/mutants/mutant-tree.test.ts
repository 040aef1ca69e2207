/** A mutant is what its name says, or the test says that it is not; the tree that it was made from stays as it was. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { planted, plantTree } from '../../src/testing/mutant-tree.ts';

test('a text that is not there exactly once is refused', () => {
  const plant = { file: 'log/a.js', find: 'b', replace: 'x' };
  assert.equal(planted('abc', plant), 'axc');
  assert.throws(() => planted('acc', plant), /log\/a\.js has no "b"/);
  assert.throws(() => planted('abcb', plant), /more than once/);
  // A replacement is text, whatever is in it.
  assert.equal(planted('abc', { ...plant, replace: "$&$'" }), "a$&$'c");
});

test('the bug is in the copy and not in the original', () => {
  const root = mkdtempSync(join(tmpdir(), 'sluice-mutant-'));
  try {
    for (const part of ['src/log', 'test'])
      mkdirSync(join(root, 'dist', part), { recursive: true });
    const original = join(root, 'dist/src/log/a.js');
    writeFileSync(original, 'sync();');
    writeFileSync(join(root, 'dist/src/log/b.js'), 'other();');
    writeFileSync(join(root, 'dist/test/a.test.js'), 'test();');
    const plant = { file: 'log/a.js', find: 'sync()', replace: '' };
    for (let round = 0; round < 2; round += 1) {
      plantTree(join(root, 'dist'), join(root, 'mutant'), [plant]);
      assert.equal(readFileSync(join(root, 'mutant/src/log/a.js'), 'utf8'), ';');
      assert.equal(readFileSync(join(root, 'mutant/src/log/b.js'), 'utf8'), 'other();');
      assert.equal(readFileSync(join(root, 'mutant/test/a.test.js'), 'utf8'), 'test();');
      assert.equal(readFileSync(original, 'utf8'), 'sync();');
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
