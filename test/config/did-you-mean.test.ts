import assert from 'node:assert/strict';
import { test } from 'node:test';
import { didYouMean } from '../../src/config/did-you-mean.ts';

const known = ['shards', 'memory', 'flushDiskType', 'brokerName'];

test('a mistyped name finds the nearest known one', () => {
  assert.equal(didYouMean('flushDiskTyp', known), 'flushDiskType');
  assert.equal(didYouMean('FLUSHDISKTYPE', known), 'flushDiskType');
  assert.equal(didYouMean('flsuhDiskTpye', known), 'flushDiskType');
  assert.equal(didYouMean('shard', known), 'shards');
});

test('a name that is like none of them finds nothing', () => {
  assert.equal(didYouMean('port', known), undefined);
  assert.equal(didYouMean('brokerPermission', known), undefined);
  assert.equal(didYouMean('', known), undefined);
  assert.equal(didYouMean('m'.repeat(100_000), known), undefined);
});
