/** What becomes of the bytes of a side job: they move to whoever carries it out. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import type { SideJob } from '../../src/log/side-job.ts';
import { WorkerJobs } from '../../src/shard/worker-jobs.ts';

/** The job as it arrives. */
async function sent(job: SideJob): Promise<SideJob> {
  const { port1, port2 } = new MessageChannel();
  const arrives = once(port2, 'message') as Promise<[SideJob]>;
  new WorkerJobs(port1).submit(job);
  const [arrived] = await arrives;
  port1.close();
  return arrived;
}

describe('side jobs over a port', () => {
  const content = [1, 2, 3];
  const kinds = [
    (bytes: Uint8Array): SideJob => ({ kind: 'write-snapshot', job: 1, position: 8, bytes }),
    (bytes: Uint8Array): SideJob => ({ kind: 'write-settled', job: 1, bytes }),
    (bytes: Uint8Array): SideJob => ({ kind: 'append-settled', job: 1, byteOffset: 0, bytes }),
  ];

  it('take memory along that is theirs alone', async () => {
    for (const make of kinds) {
      const bytes = Uint8Array.from(content);
      const arrived = await sent(make(bytes));
      assert.deepEqual(arrived, make(Uint8Array.from(content)));
      assert.equal(bytes.length, 0, `${arrived.kind} was copied`);
    }
  });

  it('copy what is a part of something, and what others share', async () => {
    const parts = [
      Uint8Array.of(0, ...content, 0).subarray(1, 4),
      new Uint8Array(new SharedArrayBuffer(3)),
    ];
    parts[1]?.set(content);
    for (const bytes of parts) {
      const arrived = await sent({ kind: 'write-settled', job: 1, bytes });
      assert.deepEqual([...(arrived as { bytes: Uint8Array }).bytes], content);
      assert.deepEqual([...bytes], content);
    }
  });

  it('have no memory to move where they name only places', async () => {
    const job: SideJob = { kind: 'read-batch', job: 1, position: 0, bytes: 64, segmentBytes: 128 };
    assert.deepEqual(await sent(job), job);
  });
});
