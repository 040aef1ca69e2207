import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { configDocument } from '../../src/testing/config-doc.ts';
import { projectRoot } from '../../src/testing/source-tree.ts';

test('docs/CONFIG.md is what the table of settings says', () => {
  const written = readFileSync(join(projectRoot(), 'docs/CONFIG.md'), 'utf8');
  assert.equal(written, configDocument(), 'run: npm run config-doc');
});
