/**
 * A real broker, real sockets, `kill -9` at random under load, again and again on the same directory; what clients saw goes
 * to the history checker. Three kills by default, KILLS=50 for the long form. Every message is sent with producer id and
 * sequence, so after all reconnects each must be at exactly one offset; a group consumes and acks meanwhile.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sleep, systemClock } from '../../src/base/clock.ts';
import { crc32 } from '../../src/base/crc32.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { ServerProcess } from '../../src/bench/server-process.ts';
import { type Client, connect, type Message, type Producer } from '../../src/client/node.ts';
import { HistoryChecker } from '../../src/testing/history-checker.ts';
import { HistoryRecorder } from '../../src/testing/history-recorder.ts';
import { QUIET_RUN } from '../../src/testing/history-report.ts';

const KILLS = Number(process.env['KILLS'] ?? 3);
const SEED = Number(process.env['SEED'] ?? Date.now() % 100_000);
const FLUSHES = ['sync', 'async'] as const;
const TOPIC = 'orders';
const PRODUCERS = 2;
const KEYS = 16;
const GROUP = 'billing';
const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

type World = {
  readonly recorder: HistoryRecorder;
  readonly client: Client;
  isOver: boolean;
  sent: number;
};

async function start(directory: string, port: number, flush: string): Promise<ServerProcess> {
  return ServerProcess.start([
    MAIN,
    'up',
    '--json',
    '--data',
    directory,
    '--port',
    String(port),
    '--flush',
    flush,
  ]);
}

/** Sends one message after another per key, as fast as answers come, until the run is over. */
async function produce(world: World, producer: Producer, name: string): Promise<void> {
  let sequence = 0;
  const lanes = Array.from({ length: KEYS }, async (_, lane) => {
    while (!world.isOver) {
      sequence += 1;
      const id = `${name}-${sequence}`;
      const body = `${id} ${'.'.repeat(sequence % 300)}`;
      const crc = crc32(new TextEncoder().encode(body));
      world.recorder.sendInvoke({ id, p: `${name}-${lane}`, topic: TOPIC, crc });
      const receipt = await producer.send({ topic: TOPIC, key: `key-${lane}`, body });
      world.recorder.sendOk(id, { q: receipt.queueId, off: receipt.queueOffset });
      world.sent += 1;
    }
  });
  await Promise.all(lanes);
}

function record(world: World, message: Message, g: string): void {
  const body = message.text();
  world.recorder.deliver({
    id: body.slice(0, body.indexOf(' ')),
    c: 'consumer',
    g,
    topic: TOPIC,
    q: message.queueId,
    off: message.queueOffset,
    attempt: message.attempt,
    crc: crc32(message.body),
    via: 'push',
  });
}

async function consume(world: World): Promise<void> {
  const consumer = world.client.consumer({
    group: GROUP,
    topic: TOPIC,
    from: 'earliest',
    credit: 200,
  });
  world.recorder.session('consumer', GROUP, []);
  for await (const message of consumer) {
    record(world, message, GROUP);
    const slot = {
      topic: TOPIC,
      q: message.queueId,
      off: message.queueOffset,
      c: 'consumer',
      g: GROUP,
    };
    world.recorder.ack('invoke', slot);
    message.ack().then(
      () => world.recorder.ack('ok', slot),
      () => world.recorder.ack('info', slot),
    );
    if (world.isOver) break;
  }
}

/** Reads every queue from its beginning, as nobody before. */
async function drain(world: World): Promise<void> {
  const { queues } = await world.client.topic(TOPIC);
  world.recorder.phase('drain', 'drain');
  world.recorder.session('drain', 'drain', []);
  for (let queueId = 0; queueId < queues; queueId += 1) {
    for (let offset = 0; ; ) {
      const { messages, nextOffset, maxOffset } = await world.client.fetch({
        topic: TOPIC,
        queueId,
        offset,
        max: 500,
      });
      for (const message of messages) {
        const body = String(message.body);
        world.recorder.deliver({
          id: body.slice(0, body.indexOf(' ')),
          c: 'drain',
          g: 'drain',
          topic: TOPIC,
          q: queueId,
          off: message.queueOffset,
          attempt: 1,
          crc: crc32(new TextEncoder().encode(body)),
          via: 'pull',
        });
      }
      offset = nextOffset;
      if (offset >= maxOffset) break;
    }
  }
  world.recorder.phase('end');
}

for (const flush of FLUSHES) {
  test(`kill -9 under load, ${KILLS} times, ${flush} flush: nothing acknowledged is lost, nothing is there twice`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-kill-'));
    const prng = seededPrng(SEED);
    const checker = new HistoryChecker({ requirements: QUIET_RUN });
    const recorder = new HistoryRecorder(systemClock, checker);
    // Below the ports that the system gives out: a client that dials a free one of those can meet itself.
    const port = 20_000 + prng.integer(10_000);
    let server = await start(directory, port, flush);
    const client = await connect({ servers: [String(server.ready['ws'])] });
    try {
      const world: World = { recorder, client, isOver: false, sent: 0 };
      recorder.phase('run');
      const producers = Array.from({ length: PRODUCERS }, () => client.producer({ lingerMs: 1 }));
      const work = producers.map((producer, index) => produce(world, producer, `p${index}`));
      const consuming = consume(world);
      for (let kill = 0; kill < KILLS; kill += 1) {
        const before = world.sent;
        while (world.sent < before + 50 + prng.integer(400)) await sleep(5);
        recorder.fault('kill', 'broker', true);
        await server.kill();
        recorder.session('consumer', GROUP, []);
        server = await start(directory, port, flush);
        recorder.fault('kill', 'broker', false);
      }
      const before = world.sent;
      while (world.sent < before + 100) await sleep(5);
      recorder.phase('heal');
      world.isOver = true;
      await Promise.all([...work, consuming]);
      await drain(world);
      const report = checker.finish();
      assert.deepEqual(report.anomalies, [], `SEED=${SEED}`);
      assert.equal(report.verdict, 'valid', `SEED=${SEED}: ${report.unknownReasons.join('; ')}`);
    } finally {
      await client.close();
      await server.kill();
      rmSync(directory, { recursive: true, force: true });
    }
  });
}
