/** Cold reads that are gathered into one task: what fails of them, and what does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SidePool } from '../../src/broker/side-pool.ts';
import { BAD_POSITION } from '../../src/testing/sick-side-worker.ts';

const STEP = 64;
const READS = 40;

test('a place that the disk does not give keeps none of its neighbours from being read', async () => {
  const pool = new SidePool(new URL('../../src/testing/sick-side-worker.js', import.meta.url));
  try {
    const positions = Array.from({ length: READS }, (_, at) => BAD_POSITION + STEP * (at - 20));
    const reads = await Promise.allSettled(
      positions.map((position) => pool.readCold('shard-0', 65_536, { position, bytes: STEP })),
    );
    for (const [index, read] of reads.entries()) {
      if (positions[index] === BAD_POSITION) {
        assert.ok(read.status === 'rejected');
        assert.equal((read.reason as { code: string }).code, 'STORAGE_IO');
      } else assert.ok(read.status === 'fulfilled' && read.value.every((byte) => byte === 7));
    }
  } finally {
    await pool.close();
  }
});
