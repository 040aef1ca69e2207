import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReturnedRanges } from '../../src/acceptor/returned-ranges.ts';

test('what was sent before the shard knew of a return goes back too, what was sent after goes out', () => {
  const returned = new ReturnedRanges();
  assert.equal(returned.mustFollow(0, 5, 0), false);
  const first = returned.add(0, 10, 20);
  assert.equal(returned.mustFollow(1, 30, 0), false, 'queues are their own');
  assert.equal(returned.mustFollow(0, 20, first - 1), true);
  const second = returned.add(0, 20, 21);
  assert.equal(returned.mustFollow(0, 10, first), false, 'the first of them may come');
  returned.seen(0, 10, 15);
  assert.equal(returned.mustFollow(0, 20, first - 1), true, '15 to 19 are still to come');
  assert.equal(returned.mustFollow(0, 15, first), false);
  returned.seen(0, 15, 20);
  assert.equal(returned.mustFollow(0, 20, second), false);
  returned.seen(0, 20, 21);
  assert.equal(returned.mustFollow(0, 100, 0), false, 'nothing is left');
});

test('what the shard knows of and passes over is not waited for', () => {
  const returned = new ReturnedRanges();
  const number = returned.add(0, 10, 20);
  returned.add(0, 20, 30);
  assert.equal(
    returned.mustFollow(0, 20, number),
    false,
    'a lease has ended, or retention took it',
  );
  assert.equal(returned.mustFollow(0, 30, number), true, 'of the second it did not know');
});

test('what goes back again is waited for by its last return', () => {
  const returned = new ReturnedRanges();
  const first = returned.add(0, 10, 20);
  const again = returned.add(0, 10, 20);
  assert.equal(returned.mustFollow(0, 20, first), true);
  assert.equal(returned.mustFollow(0, 20, again), false);
});
