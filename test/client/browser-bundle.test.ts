/**
 * The client as a browser gets it: bundled by vite, run in a realm without Node (no Buffer, process, require), on the
 * platform's WebSocket. The example page is built too, so that it does not rot.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { build, type Rolldown } from 'vite';
import { WebSocket } from 'ws';
import type { Client } from '../../src/client/client.ts';
import type { ConnectOptions } from '../../src/client/types.ts';
import { FakeBroker } from '../../src/testing/fake-broker.ts';
import { projectRoot } from '../../src/testing/source-tree.ts';

const root = projectRoot();

/** Bytes of the client as one minified file; a jump means that something came in that does not belong there. */
const BUNDLE_BYTES_MAX = 152_000;

async function bundleClient(): Promise<string> {
  const result = (await build({
    root,
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      target: 'es2022',
      lib: { entry: join(root, 'src/client/index.ts'), formats: ['iife'], name: 'sluice' },
    },
  })) as Rolldown.RolldownOutput[];
  const [chunk] = result[0]?.output ?? [];
  assert.ok(chunk?.type === 'chunk');
  return chunk.code;
}

describe('the client in a browser', () => {
  it('is one file without Node, without eval, and not too large', async () => {
    const code = await bundleClient();
    assert.ok(code.length < BUNDLE_BYTES_MAX, `${code.length} bytes`);
    for (const word of [
      /\bnode:/,
      /\brequire\(/,
      /\bnew Function\b/,
      /\beval\(/,
      /browser-external/,
    ])
      assert.doesNotMatch(code, word);
  });

  it('sends and receives on the platform WebSocket in a realm that has nothing of Node', async () => {
    const broker = await FakeBroker.start();
    const realm = createContext({
      ...{ WebSocket, URL, TextEncoder, TextDecoder, AbortController, AbortSignal },
      ...{ crypto, performance, setTimeout, clearTimeout, setInterval, clearInterval },
      ...{ queueMicrotask, fetch, atob, ArrayBuffer, Uint8Array, console },
    });
    runInContext(`${await bundleClient()}; globalThis.sluice = sluice;`, realm);
    const { sluice } = realm as {
      sluice: { connect: (options: ConnectOptions) => Promise<Client> };
    };
    const client = await sluice.connect({ servers: broker.url });
    const producer = client.producer();
    const receipts = await producer.sendBatch(
      Array.from({ length: 500 }, (_, index) => ({
        topic: 't',
        key: `k${index % 7}`,
        body: { index },
      })),
    );
    assert.equal(receipts.length, 500);
    const seen = new Set<number>();
    const consumer = client.consumer({ topic: 't', group: 'g', from: 'earliest' });
    for await (const message of consumer) {
      seen.add(message.json<{ index: number }>().index);
      message.ack();
      if (seen.size === 500) break;
    }
    assert.equal((await client.admin.broker())['name'], 'fake');
    await client.drain();
    await broker.close();
  });

  it('is what the example page is built from', async () => {
    const outDir = await mkdtemp(join(tmpdir(), 'sluice-page-'));
    try {
      await build({
        configFile: join(root, 'examples/browser/vite.config.ts'),
        logLevel: 'silent',
        build: { outDir, emptyOutDir: true },
      });
      const assets = await readdir(join(outDir, 'assets'));
      assert.equal(assets.filter((name) => name.endsWith('.js')).length, 1);
      const page = await readFile(join(outDir, 'index.html'), 'utf8');
      assert.match(page, /Content-Security-Policy/);
      assert.doesNotMatch(page, /<script>/, 'the policy allows no inline scripts');
    } finally {
      await rm(outDir, { recursive: true, force: true });
    }
  });
});
