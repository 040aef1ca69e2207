/** An operator's request ends: by its answer, its time, or its signal. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { AdminClient } from '../../src/client/admin-client.ts';

test('a broker that never answers costs its time and no more; a signal ends it at once with its reason', async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => {
    silent.listen(0, '127.0.0.1', resolve);
  });
  const { port } = silent.address() as AddressInfo;
  const admin = new AdminClient(() => `http://127.0.0.1:${port}`, undefined);
  try {
    await assert.rejects(admin.topics({ timeoutMs: 20 }), { code: 'TIMEOUT', retryable: true });
    const reason = new Error('enough');
    await assert.rejects(admin.topics({ signal: AbortSignal.abort(reason) }), reason);
  } finally {
    silent.closeAllConnections();
    silent.close();
  }
});
