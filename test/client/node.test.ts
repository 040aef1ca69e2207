/** What a process with a client does at its end: leaves when nobody waits, stays while somebody does. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeBroker } from '../../src/testing/fake-broker.ts';
import { spawnTied } from '../../src/testing/tied-process.ts';

const door = new URL('../../src/client/node.js', import.meta.url).href;

/** Runs a script with `client` connected; resolves with its output when the process has left by itself. */
async function runScript(
  url: string,
  script: string,
): Promise<{ code: number | null; out: string }> {
  const source = `
    import { connect } from ${JSON.stringify(door)};
    const client = await connect({ servers: ${JSON.stringify(url)}, reconnectMinMs: 1, reconnectMaxMs: 5, connectTimeoutMs: 60_000 });
    ${script}`;
  const child = spawnTied(process.execPath, ['--input-type=module', '--eval', source], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  child.stdout?.on('data', (data: Buffer) => {
    out += data.toString();
  });
  child.stderr?.on('data', (data: Buffer) => {
    out += data.toString();
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, out: out.trim() };
}

async function withBroker(body: (broker: FakeBroker) => Promise<void>): Promise<void> {
  const broker = await FakeBroker.start();
  try {
    await body(broker);
  } finally {
    await broker.close();
  }
}

describe('a process with a client', () => {
  it('leaves when nothing is under way, though the client is open', () =>
    withBroker(async (broker) => {
      const { code, out } = await runScript(
        broker.url,
        `const producer = client.producer();
         await producer.send({ topic: 't', body: 1 });
         client.consumer({ topic: 't', group: 'g' });
         console.log('idle');`,
      );
      assert.deepEqual({ code, out }, { code: 0, out: 'idle' });
    }));

  it('stays for what it has pushed, over a lost connection', () =>
    withBroker(async (broker) => {
      broker.react = ({ index }) => (index === 0 ? 'store-and-drop' : 'store');
      const { code, out } = await runScript(
        broker.url,
        `const producer = client.producer({ onReceipt: ({ duplicate }) => console.log('stored', duplicate) });
         producer.push({ topic: 't', body: 1 });`,
      );
      assert.deepEqual({ code, out }, { code: 0, out: 'stored true' });
      assert.equal(broker.messages('t').length, 1);
    }));

  it('stays while a consumer waits for messages', () =>
    withBroker(async (broker) => {
      const running = runScript(
        broker.url,
        `for await (const message of client.consumer({ topic: 't', group: 'g', from: 'earliest' })) {
           console.log(message.text());
           message.ack();
           break;
         }`,
      );
      const { code } = await runScript(
        broker.url,
        `await client.producer().send({ topic: 't', body: 'awaited' });`,
      );
      assert.equal(code, 0);
      assert.deepEqual(await running, { code: 0, out: 'awaited' });
    }));

  it('leaves after close, whatever was going on', () =>
    withBroker(async (broker) => {
      broker.react = () => 'hold-answer';
      const { code, out } = await runScript(
        broker.url,
        `const sent = client.producer().send({ topic: 't', body: 1 });
         const running = client.consumer({ topic: 't', group: 'g' }).run(() => {});
         sent.catch(({ code }) => console.log(code));
         await client.topic('t');
         await client.close();
         await running;`,
      );
      assert.deepEqual({ code, out }, { code: 0, out: 'CLOSED' });
    }));

  it('is not ended by refusals that nobody waits for', () =>
    withBroker(async (broker) => {
      broker.react = ({ index }) => (index === 0 ? 'store' : { code: 'FORBIDDEN' });
      const { code, out } = await runScript(
        broker.url,
        `const producer = client.producer();
         await producer.send({ topic: 't', body: 1 });
         producer.push({ topic: 't', body: 2 });
         for await (const message of client.consumer({ topic: 't', group: 'g', from: 'earliest' })) {
           await client.close();
           message.ack();
           message.nack();
         }
         console.log('fine');`,
      );
      assert.deepEqual({ code, out }, { code: 0, out: 'fine' });
    }));
});
