/**
 * Everything that can be wrong with what comes in, against a live broker on both transports: frames, requests, batches, the
 * WebSocket protocol itself, HTTP. Each gets its refusal with code, message and hint, or the end of its own connection; the
 * broker's state is the same afterwards, and others have not noticed.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ERROR_CODES, type ErrorCode } from '../../src/base/error-codes.ts';
import { FRAME_BYTES_MAX } from '../../src/base/limits.ts';
import { KIB } from '../../src/base/units.ts';
import { BAD_REQUESTS } from '../../src/testing/bad-requests.ts';
import { BAD_HTTP, BAD_WEB_SOCKET } from '../../src/testing/bad-wire.ts';
import { sendBatchFrame } from '../../src/testing/batch-frames.ts';
import { BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { RawClient } from '../../src/testing/e2e-raw-client.ts';
import { type Frame, RawSession } from '../../src/testing/e2e-session.ts';
import { frameSamples } from '../../src/testing/golden-frames.ts';

const TOPIC = 't';
const QUEUES = 4;
const HOSTILE_NUMBERS = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/**
 * What uWebSockets.js does not look at: without the bit of a mask it takes four bytes of the payload for one; a message that
 * begins within another goes on with it. Both hurt nobody but their sender.
 */
const UWS_TAKES = ['a frame without a mask', 'a new message within another'];

/** A refusal as DESIGN section 5 has it. */
function assertRefusal(answer: Frame | undefined, what: string): void {
  assert.ok(answer !== undefined, what);
  const { code, message, hint, stored, retryable } = answer;
  const definition = ERROR_CODES[code as ErrorCode];
  assert.ok(definition !== undefined, `${what}: ${JSON.stringify(answer)}`);
  assert.notEqual(code, 'INVARIANT', `${what}: ${JSON.stringify(answer)}`);
  assert.ok(typeof message === 'string' && message !== '', what);
  assert.ok(typeof hint === 'string' && hint !== '', `${what}: no hint with ${String(code)}`);
  assert.equal(stored, false, what);
  assert.equal(retryable, definition.retryable, what);
}

for (const transport of ['ws', 'uws'] as const) {
  describe(`bad input on ${transport}`, () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'sluice-bad-input-'));
    let broker: BrokerProcess;
    /** Others, who must not notice. */
    let bystander: RawSession;
    let stateBefore: unknown;

    async function get(path: string): Promise<unknown> {
      return (await fetch(`${broker.http}${path}`)).json();
    }

    async function make(path: string, what: object): Promise<void> {
      const headers = { 'content-type': 'application/json' };
      const body = JSON.stringify(what);
      const made = await fetch(`${broker.http}${path}`, { method: 'POST', headers, body });
      assert.equal(made.status, 200, await made.text());
    }

    /** Topics with their queues, groups with their positions, ends of the logs. */
    async function state(): Promise<unknown> {
      const positions = await broker.metric('sluice_position_bytes');
      return {
        topics: await get('/api/topics'),
        topic: await get(`/api/topics/${TOPIC}`),
        groups: await get('/api/groups'),
        group: await get('/api/groups/holder'),
        positions: [...positions].filter(([labels]) => labels.includes('appended')),
        failures: await broker.metric('sluice_internal_errors_total'),
      };
    }

    async function assertIntact(what: string): Promise<void> {
      assert.deepEqual(await state(), stateBefore, what);
      assert.equal((await bystander.ask({ op: 'ping' }))['op'], 'pong', what);
    }

    before(async () => {
      broker = await BrokerProcess.start({
        dataDir,
        settings: {
          ...{ transport, shards: 2, maxMessageSize: 32 * KIB },
          ...{ autoCreateTopicEnable: false, autoCreateSubscriptionGroup: false },
        },
      });
      await make('/api/topics', { topic: TOPIC, queues: QUEUES });
      await make('/api/groups', { group: 'holder' });
      bystander = await RawSession.open(broker.ws, '127.0.2.1');
      const messages = [{ body: 'held', key: 'a' }, { body: 'waits' }];
      await bystander.ask({ op: 'send', topic: TOPIC, messages });
      const subscribe = { op: 'subscribe', topic: TOPIC, group: 'holder', from: 'earliest' };
      await bystander.ask({ ...subscribe, credit: 2, leaseMs: 600_000 });
      await until('messages are in hands', () => bystander.frames.length === 2);
      stateBefore = await state();
    });

    after(async () => {
      bystander.close();
      await broker.kill();
      rmSync(dataDir, { recursive: true, force: true });
    });

    test('requests in JSON: each is refused with its code, and the connection stays', async () => {
      let session = await RawSession.open(broker.ws);
      for (const [frame, code] of BAD_REQUESTS) {
        const text = typeof frame === 'string' ? frame : JSON.stringify(frame);
        session.frames.length = 0;
        session.socket.send(text);
        await until(`an answer to ${text.slice(0, 100)}`, () => session.frames.length > 0);
        assertRefusal(session.frames[0], text.slice(0, 100));
        assert.equal(session.frames[0]?.['code'], code, text.slice(0, 100));
        // Frames that are no JSON count as strikes.
        if (code === 'BAD_FRAME') {
          session.close();
          session = await RawSession.open(broker.ws);
        }
      }
      session.close();
      await assertIntact('requests in JSON');
    });

    test('binary frames, cut, lengthened and with hostile numbers: refused, or answered and changing nothing', async () => {
      for (const [name, sample] of Object.entries(frameSamples())) {
        const frames: Uint8Array[] = [];
        for (let cut = 0; cut < sample.length; cut += 5) frames.push(sample.slice(0, cut));
        frames.push(Uint8Array.from([...sample, 0, 0, 0, 0, 0, 0, 0, 0]));
        for (let at = 0; at + 4 <= Math.min(sample.length, 80); at += 4)
          for (const number of HOSTILE_NUMBERS) {
            const bent = sample.slice();
            new DataView(bent.buffer).setUint32(at, number, true);
            frames.push(bent);
          }
        await sendAll(broker, name, frames);
      }
      await assertIntact('binary frames');
    });

    test('a batch whose checksum is right and whose inside is wrong is refused by the shard', async () => {
      let session = await RawSession.open(broker.ws);
      const { topicId } = await session.ask({ op: 'topic', topic: TOPIC });
      const good = sendBatchFrame({ topicId: Number(topicId), correlationId: 1, messages: ['x'] });
      for (let at = 16; at < good.length; at += 1) {
        const bent = good.slice();
        bent[at] = (bent[at] as number) ^ 0xff;
        // Too many that are no batch at all end a connection.
        if (at % 50 === 0) {
          session.close();
          session = await RawSession.open(broker.ws);
        }
        session.frames.length = 0;
        session.socket.send(bent);
        await until('it is refused', () => session.frames.length > 0);
        assertRefusal(session.frames[0], `byte ${at}`);
        assert.equal(session.frames[0]?.['id'], 1);
      }
      assert.deepEqual(session.stored, []);
      session.close();
      await assertIntact('batches');
    });

    test('what breaks the WebSocket protocol ends its own connection', async () => {
      const cases = Object.entries(BAD_WEB_SOCKET).filter(
        ([what]) => transport === 'ws' || !UWS_TAKES.includes(what),
      );
      await Promise.all(
        cases.map(async ([what, bytes]) => {
          const client = await RawClient.open(broker.http);
          await client.upgrade();
          client.write(bytes);
          await until(`${what}: the connection ends`, () => client.isClosed);
          assert.ok(client.received === '' || client.received.charCodeAt(0) === 0x88, what);
        }),
      );
      await assertIntact('WebSocket');
    });

    test('a frame beyond the largest is refused by its length alone', async () => {
      const session = await RawSession.open(broker.ws);
      session.socket.send(new Uint8Array(FRAME_BYTES_MAX + 1), () => {});
      const code = await session.closed;
      assert.ok([1006, 1009].includes(code), `closed with ${code}`);
      await assertIntact('a large frame');
    });

    test('HTTP that is none: a status of the 4xx or 5xx, or an end, for this connection alone', async () => {
      // At once: some of them are never finished, and end when their time is over.
      await Promise.all(
        Object.entries(BAD_HTTP).map(async ([what, text]) => {
          const client = await RawClient.open(broker.http);
          client.write(text);
          const isAnswered = (): boolean =>
            client.isClosed || /^HTTP\/1\.1 \d+[\s\S]*\r\n\r\n/.test(client.received);
          await until(`${what}: an answer or an end`, isAnswered);
          if (client.received !== '')
            assert.match(client.received, /^HTTP\/1\.1 (4\d\d|50[15]) /, what);
          client.close();
        }),
      );
      await assertIntact('HTTP');
    });

    test('one byte at a time, a frame and a request are what they are', async () => {
      const client = await RawClient.open(broker.http);
      await client.upgrade();
      const text = Buffer.from('{"op":"ping","id":7}');
      await trickle(client, Buffer.concat([Buffer.of(0x81, 0x80 | text.length, 0, 0, 0, 0), text]));
      await until('the pong', () => client.received.includes('"pong"'));
      client.close();
      const plain = await RawClient.open(broker.http);
      const body = '{"tokens":["nonsense"]}';
      // In one piece: uWebSockets.js takes half a request line for one of another version of HTTP.
      plain.write('POST /v1/groups/g/acks HTTP/1.1\r\n');
      await trickle(plain, `Host: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      await until('the refusal', () => plain.received.includes('"hint"'));
      assert.match(plain.received, /^HTTP\/1\.1 40[04] /);
      plain.close();
      await assertIntact('bytes');
    });

    test('who held messages still holds them', async () => {
      const tokens = bystander.frames.map((frame) => frame['token']);
      assert.equal((await bystander.ask({ op: 'ack', tokens }))['op'], 'ok');
    });
  });
}

async function trickle(client: RawClient, bytes: Uint8Array | string): Promise<void> {
  for (const byte of Buffer.from(bytes)) {
    client.write(Uint8Array.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Sends frames in turn, on as many connections as it takes: too many of them end one. */
async function sendAll(
  broker: BrokerProcess,
  name: string,
  frames: readonly Uint8Array[],
): Promise<void> {
  let session = await RawSession.open(broker.ws);
  let closeCode: number | undefined;
  for (const frame of frames) {
    if (session.socket.readyState !== session.socket.OPEN)
      session = await RawSession.open(broker.ws);
    closeCode = undefined;
    void session.closed.then((code) => {
      closeCode = code;
    });
    session.socket.send(frame);
    // A settlement without correlation and a credit without an id are answered by nothing; the ping is, behind them.
    session.socket.send('{"op":"ping","id":"behind"}');
    await until(
      `${name}: an answer behind ${toHex(frame)}`,
      () => closeCode !== undefined || session.frames.some(({ id }) => id === 'behind'),
    );
    if (closeCode !== undefined) assert.equal(closeCode, 1008, name);
    for (const answer of session.frames.splice(0))
      if (answer['op'] === 'error') assertRefusal(answer, `${name}: ${toHex(frame)}`);
  }
  assert.deepEqual(session.stored, []);
  session.close();
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, 120)).toString('hex');
}
