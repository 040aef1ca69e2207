/** A broker inside a program: in memory and on a directory, what it says of itself, what it refuses, how it ends. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ErrorCode } from '../../src/base/error-codes.ts';
import { SluiceError } from '../../src/base/errors.ts';
import { recordingLogger } from '../../src/base/log-sink.ts';
import { KIB, MIB } from '../../src/base/units.ts';
import { type BrokerOptions, createBroker } from '../../src/broker/create-broker.ts';
import { connect } from '../../src/testing/patient-client.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'sluice-create-'));

after(() => rmSync(dataDir, { recursive: true, force: true }));

async function refused(options: BrokerOptions, code: ErrorCode): Promise<SluiceError> {
  try {
    const broker = await createBroker(options);
    await broker.close();
  } catch (error) {
    assert.ok(error instanceof SluiceError, String(error));
    assert.equal(error.code, code, error.message);
    return error;
  }
  throw new Error('the broker started');
}

test('in memory: says what it is, takes and gives messages, writes no files', async (t) => {
  const [before, empty] = [process.cwd(), mkdtempSync(join(tmpdir(), 'sluice-empty-'))];
  t.after(() => {
    process.chdir(before);
    rmSync(empty, { recursive: true });
  });
  process.chdir(empty);
  await using broker = await createBroker({ memory: true });
  const { ready } = broker;
  assert.equal(ready.role, 'all');
  assert.equal(ready.pid, process.pid);
  assert.match(ready.ws, /^ws:\/\/127\.0\.0\.1:[1-9]\d*$/);
  assert.equal(ready.http, ready.ws.replace('ws:', 'http:'));
  assert.equal(ready.dataDir, null);
  assert.ok(['uws', 'ws'].includes(ready.transport));
  assert.notEqual(ready.transportReason, '');
  assert.equal(ready.shards, 1);
  assert.equal(ready.flush, 'sync');
  const client = await connect({ servers: ready.ws });
  const receipt = await client.producer().send({ topic: 't', body: { a: 1 } });
  assert.equal(receipt.durability, 'memory');
  for await (const message of client.consumer({ topic: 't', group: 'g', from: 'earliest' })) {
    assert.deepEqual(message.json(), { a: 1 });
    await message.ack();
    break;
  }
  await client.close();
  assert.deepEqual(readdirSync(empty), []);
});

test('on a directory: `await using` drains, and the next one finds everything', async () => {
  let offset: number;
  {
    await using broker = await createBroker({ dataDir, config: { shards: 2 } });
    assert.equal(broker.ready.dataDir, dataDir);
    assert.equal(broker.ready.shards, 2);
    const client = await connect({ servers: broker.ready.ws });
    const receipt = await client.producer().send({ topic: 't', key: 'k', body: 'kept' });
    assert.equal(receipt.durability, 'disk');
    offset = receipt.queueOffset;
    await client.close();
  }
  assert.ok(!existsSync(join(dataDir, 'lock')), 'the directory is free');
  await using broker = await createBroker({ dataDir, config: { flushDiskType: 'ASYNC_FLUSH' } });
  assert.equal(broker.ready.flush, 'async');
  assert.equal(broker.ready.shards, 2, 'the store knows');
  const client = await connect({ servers: broker.ready.ws });
  const again = await client.producer().send({ topic: 't', key: 'k', body: 'next' });
  assert.equal(again.queueOffset, offset + 1);
  const [first] = (await client.fetch({ topic: 't', queueId: again.queueId, offset })).messages;
  assert.equal(first?.body, 'kept');
  await client.close();
});

test('`closed` resolves, closing twice is harmless, and nothing keeps the process', async () => {
  const { logger, lines } = recordingLogger();
  const broker = await createBroker({ memory: true, log: logger });
  const [drained, closed] = [broker.drain(), broker.close()];
  await Promise.all([drained, closed, broker.closed, broker.drain()]);
  await assert.rejects(fetch(`${broker.ready.http}/livez`));
  assert.equal(lines.filter((line) => line.event === 'closed').length, 1);
});

test('other than loopback needs a reason, with and without a token', async () => {
  const open = await refused({ memory: true, host: '0.0.0.0' }, 'INVALID_ARGUMENT');
  assert.match(open.message, /"0\.0\.0\.0", which others can reach, and there is no token/);
  const config = { authToken: 'a-token-that-is-long-enough' };
  const withToken = await refused({ memory: true, host: '0.0.0.0', config }, 'INVALID_ARGUMENT');
  assert.match(withToken.hint, /TLS proxy/);
  const { logger, lines } = recordingLogger();
  await using broker = await createBroker({
    ...{ memory: true, host: '0.0.0.0', log: logger },
    config: { insecureIUnderstand: true },
  });
  assert.match(broker.ready.ws, /^ws:\/\/127\.0\.0\.1:/, 'an address that can be dialled');
  const exposed = lines.find((line) => line.event === 'exposed-without-tls');
  assert.equal(exposed?.level, 'error');
});

for (const [name, config] of [
  ['tailBytes', { tailBytes: MIB, ringBytes: 16 * MIB }],
  ['segmentBytes', { tailBytes: 8 * MIB, segmentBytes: 2 * MIB }],
  ['ringBytes', { ringBytes: 8 * MIB, tailBytes: 8 * MIB, segmentBytes: 8 * MIB }],
] as const) {
  test(`a ${name} that the largest message does not fit is refused by name; a smaller message makes it fit`, async () => {
    const error = await refused({ memory: true, config }, 'INVALID_ARGUMENT');
    assert.match(error.message, new RegExp(`maxMessageSize 4194304 does not fit: ${name} allows`));
    assert.match(error.hint, new RegExp(`Raise ${name}, or lower maxMessageSize`));
    const broker = await createBroker({
      memory: true,
      config: { ...config, maxMessageSize: 256 * KIB },
    });
    await broker.close();
  });
}

test('the largest message that the configuration allows goes in and out; one byte more does not', async () => {
  const bytesMax = 256 * KIB;
  await using broker = await createBroker({
    memory: true,
    config: { tailBytes: MIB, segmentBytes: MIB, ringBytes: MIB, maxMessageSize: bytesMax },
  });
  const client = await connect({ servers: broker.ready.ws });
  const producer = client.producer();
  const body = new Uint8Array(bytesMax).fill(7);
  const receipts = await Promise.all(
    Array.from({ length: 12 }, () => producer.send({ topic: 't', key: 'k', body })),
  );
  assert.deepEqual(
    receipts.map((receipt) => receipt.queueOffset),
    Array.from({ length: 12 }, (_, index) => index),
  );
  const queueId = receipts[0]?.queueId ?? 0;
  const { messages } = await client.fetch({ topic: 't', queueId, offset: 11, max: 1 });
  assert.deepEqual(messages[0]?.body, body);
  await assert.rejects(
    producer.send({ topic: 't', key: 'k', body: new Uint8Array(bytesMax + 1) }),
    { code: 'MESSAGE_TOO_LARGE' },
  );
  await client.close();
});

test('a port in use is refused by name, and the directory is free again', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  try {
    const error = await refused({ dataDir, port }, 'INVALID_ARGUMENT');
    assert.ok(error.message.includes(String(port)), error.message);
    assert.ok(!existsSync(join(dataDir, 'lock')));
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test('a directory in use is refused', async () => {
  await using broker = await createBroker({ dataDir });
  assert.equal(broker.ready.dataDir, dataDir);
  const error = await refused({ dataDir }, 'INVALID_ARGUMENT');
  assert.match(error.message, /in use by the broker with process id/);
});

test('an unknown setting and a wrong value are refused by name', async () => {
  const unknown = { segmentBytez: 1 } as unknown as Record<string, never>;
  assert.match(
    (await refused({ memory: true, config: unknown }, 'INVALID_ARGUMENT')).message,
    /segmentBytez/,
  );
  const wrong = await refused({ memory: true, config: { shards: 0 } }, 'INVALID_ARGUMENT');
  assert.match(wrong.message, /shards/);
});
