/**
 * Full ingest, and connections that come and go in every way, on both transports: afterwards the broker has no session,
 * subscription, group or request more than before, and the memory that it began with.
 *
 *   MEMORY_SECONDS=60 npm test -- e2e/memory     a minute of ingest, and connections in proportion
 *
 * The memory that it began with is that after a first round of the same: code is compiled then, pools have their size.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { HTTP_MEMBER_IDLE_MS } from '../../src/base/limits.ts';
import { KIB, MIB } from '../../src/base/units.ts';
import { BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { type ChurnTarget, churn, ingest } from '../../src/testing/e2e-churn.ts';

const SECONDS_SHORT = 1;
const SECONDS = Number(process.env['MEMORY_SECONDS'] ?? SECONDS_SHORT);
const HAS_POLLS = SECONDS > SECONDS_SHORT;
const CONNECTIONS_PER_SECOND = 100;
const WARM_UP_SECONDS = 1;
/** Shared memory counts as resident when it is first used: small enough to be used in the first round. */
const SMALL = {
  segmentBytes: 8 * MIB,
  tailBytes: 2 * MIB,
  ringBytes: MIB,
  maxMessageSize: 64 * KIB,
};
const TOKEN = 'a-token-that-is-long-enough';
/** JavaScript and buffers of the main thread after a collection: what is left is objects that nobody let go. */
const HELD_GROWTH_BYTES_MAX = 6 * MIB;
/** Resident, of all threads: allocators keep what was freed, and heaps grow to what a round needs before they collect. */
const RESIDENT_GROWTH_BYTES_MAX = 96 * MIB;
/** Under full ingest. @source design, section 9 */
const RESIDENT_BYTES_MAX = 400 * MIB;
/** Gauges that count what is there now, and must be there no more when everybody is gone. */
const NOTHING_LEFT = [
  'sluice_connections',
  'sluice_connections_paused',
  'sluice_connections_held',
  'sluice_subscriptions',
  'sluice_requests_in_flight',
  'sluice_cold_reads_waiting',
  'sluice_request_ring_used_bytes',
];

type State = Readonly<Record<string, number>>;

async function stateOf(broker: BrokerProcess): Promise<State> {
  const names = [...NOTHING_LEFT, 'sluice_topics', 'sluice_groups', 'sluice_internal_errors_total'];
  const state: Record<string, number> = {};
  for (const name of names)
    state[name] = [...(await broker.metric(name)).values()].reduce((sum, value) => sum + value, 0);
  return state;
}

async function untilEmpty(broker: BrokerProcess): Promise<State> {
  let state: State = {};
  await until(
    'everybody is gone',
    async () => {
      state = await stateOf(broker);
      return NOTHING_LEFT.every((name) => state[name] === 0);
    },
    // The members that stand for pollers stay a while.
    HTTP_MEMBER_IDLE_MS + 60_000,
  ).catch((error: Error) => assert.fail(`${error.message}: ${JSON.stringify(state)}`));
  return state;
}

type Memory = { readonly held: number; readonly resident: number };

async function memoryOf(broker: BrokerProcess): Promise<Memory> {
  const { heapUsedBytes, externalBytes } = await broker.memory();
  return { held: heapUsedBytes + externalBytes, resident: broker.residentBytes().now };
}

const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;

for (const transport of ['ws', 'uws'] as const) {
  test(`${SECONDS} s of ingest and ${SECONDS * CONNECTIONS_PER_SECOND} clients on ${transport} leave nothing behind`, {
    timeout: (SECONDS + WARM_UP_SECONDS) * 60_000 + 300_000,
  }, async (context: TestContext) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'sluice-memory-'));
    const broker = await BrokerProcess.start({
      dataDir,
      settings: { transport, authToken: TOKEN, shards: 1, ...SMALL },
      hasHooks: true,
    });
    try {
      const target: ChurnTarget = { broker, token: TOKEN, topic: 'events' };
      await createTopic(target);
      await ingest(target, WARM_UP_SECONDS);
      await churn(target, WARM_UP_SECONDS * CONNECTIONS_PER_SECOND, HAS_POLLS);
      const stateBefore = await untilEmpty(broker);
      const before = await memoryOf(broker);
      broker.forgetPeak();

      const stored = await ingest(target, SECONDS);
      const { peak } = broker.residentBytes();
      await churn(target, SECONDS * CONNECTIONS_PER_SECOND, HAS_POLLS);
      assert.deepEqual(await untilEmpty(broker), stateBefore);
      const after = await memoryOf(broker);

      const [held, resident] = [after.held - before.held, after.resident - before.resident];
      context.diagnostic(
        `${stored} messages; held ${mib(before.held)} + ${mib(held)}, resident ${mib(before.resident)} + ${mib(resident)}, at most ${mib(peak)}`,
      );
      assert.ok(held <= HELD_GROWTH_BYTES_MAX, `${held} bytes more are held`);
      assert.ok(resident <= RESIDENT_GROWTH_BYTES_MAX, `${resident} bytes more are resident`);
      assert.ok(peak <= RESIDENT_BYTES_MAX, `${peak} bytes were resident under ingest`);
    } finally {
      await broker.kill();
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
}

/** Kept small, so that a minute of ingest does not fill the disk. */
async function createTopic({ broker, token, topic }: ChurnTarget): Promise<void> {
  const response = await fetch(`${broker.http}/api/topics`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ topic, queues: 4, retentionBytes: 64 * MIB }),
  });
  assert.equal(response.status, 200, await response.text());
}
