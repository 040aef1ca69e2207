import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Prng, seededPrng } from '../../src/base/prng.ts';
import { retryDelayMs } from '../../src/client/retry-policy.ts';

const highest: Prng = { ...seededPrng(1), next: () => 0.999_999 };
const policy = { minMs: 50, maxMs: 10_000 };

it('delays double up to the ceiling', () => {
  const ceilings = [1, 2, 3, 4, 5, 6, 7, 8, 9, 100].map((failures) =>
    Math.round(retryDelayMs(policy, failures, highest)),
  );
  assert.deepEqual(ceilings, [50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
});

it('delays are spread between nothing and the ceiling', () => {
  const prng = seededPrng(7);
  const delays = Array.from({ length: 1000 }, () => retryDelayMs(policy, 20, prng));
  assert.ok(delays.every((delay) => delay >= 1 && delay <= 10_000));
  for (let tenth = 0; tenth < 10; tenth += 1) {
    const count = delays.filter((delay) => Math.floor(delay / 1000) === tenth).length;
    assert.ok(count > 50, `${count} in tenth ${tenth}`);
  }
});
