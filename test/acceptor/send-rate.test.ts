/** How fast one sender may send, where requests come without a connection of their own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AddressRates } from '../../src/acceptor/send-rate.ts';
import { RATE_ADDRESSES_MAX } from '../../src/base/limits.ts';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';
import type { HttpResponse } from '../../src/transport/transport.ts';

test('HTTP sends above the limit of their address are 429 with the time to wait, and nothing is stored', async () => {
  const rig = await AcceptorRig.start({ config: { messagesPerSecondMax: 10 } });
  const post = (count: number): Promise<HttpResponse> =>
    rig.http('POST', '/v1/topics/t/messages', {
      headers: { 'content-type': 'application/json' },
      body: Array.from({ length: count }, () => ({ body: 1 })),
    });
  assert.equal((await post(8)).status, 200);
  const refused = await post(8);
  assert.equal(refused.status, 429);
  assert.equal(refused.headers?.['Retry-After'], '1');
  const { error } = JSON.parse(refused.body as string) as { error: Record<string, unknown> };
  assert.equal(error['code'], 'RATE_LIMITED');
  assert.equal(error['stored'], false);
  const waitMs = error['retryAfterMs'] as number;
  assert.ok(waitMs > 500 && waitMs <= 600, `${waitMs} ms for the 6 that are missing`);
  // What reads is not held up.
  assert.equal((await rig.http('GET', '/api/topics')).status, 200);
  rig.clock.advance(waitMs);
  assert.equal((await post(8)).status, 200);
});

test('addresses have limits of their own, and the memory for them is bounded', () => {
  const rates = new AddressRates({ messagesPerSecondMax: 1, bytesPerSecondMax: 0 });
  const isRefused = (address: string): boolean =>
    rates.refusal(address, 1, 10, 0)?.code === 'RATE_LIMITED';
  assert.deepEqual([isRefused('a'), isRefused('b'), isRefused('a')], [false, false, true]);
  for (let index = 1; index < RATE_ADDRESSES_MAX; index += 1) isRefused(`other-${index}`);
  // `b` was the one that had not sent for the longest time.
  assert.deepEqual([isRefused('a'), isRefused('b')], [true, false]);
  const unlimited = new AddressRates({ messagesPerSecondMax: 0, bytesPerSecondMax: 0 });
  assert.equal(unlimited.refusal('a', 1e9, 1e9, 0), undefined);
});
