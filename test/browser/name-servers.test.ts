/**
 * A page that knows only NameServers, in a real browser: their routes come by fetch() over the page's own origin policy, and it sends
 * to and receives from all brokers. Client and page are bundled as in test/client/browser-bundle.test.ts.
 *
 *   npm run test:browser                              needs Chromium, in PATH or named by CHROMIUM
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import type { RequestListener, Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { build, type Rolldown } from 'vite';
import type * as Door from '../../src/client/index.ts';
import { BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { postJson } from '../../src/testing/e2e-pair.ts';
import { browserObstacle, launchChromium, serveOrigin } from '../../src/testing/find-chromium.ts';
import { projectRoot } from '../../src/testing/source-tree.ts';

const WAIT_MS_MAX = 120_000;

/** A page that has the client as `sluice`. */
async function clientPage(): Promise<RequestListener> {
  const root = projectRoot();
  const [result] = (await build({
    ...{ root, configFile: false, logLevel: 'silent' },
    build: {
      ...{ write: false, target: 'es2022' },
      lib: { entry: join(root, 'src/client/index.ts'), formats: ['iife'], name: 'sluice' },
    },
  })) as Rolldown.RolldownOutput[];
  const [chunk] = result?.output ?? [];
  assert.ok(chunk?.type === 'chunk');
  const { code } = chunk;
  return (request, response) => {
    const isScript = request.url === '/client.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
    response.end(isScript ? code : '<!doctype html><script src="/client.js"></script>');
  };
}

type Visit = readonly [nameServers: string, prefix: string, countMin: number, brokersMin: number];
type Seen = { readonly brokers: string[]; readonly sent: number; readonly texts: string[] };

/**
 * What a visit of the page does: sends, on and on until that many brokers have taken some, as one that stands still for a moment takes
 * none; and receives until it has all of its own.
 */
async function visit([nameServers, prefix, countMin, brokersMin]: Visit): Promise<Seen> {
  // Evaluated in the page: nothing of this file is there.
  const topic = 'page-orders';
  const { connect } = (globalThis as unknown as { readonly sluice: typeof Door }).sluice;
  // As patient as other tests (patient-client.ts): a machine that does other things too may answer late.
  const patience = { connectTimeoutMs: 60_000, requestTimeoutMs: 60_000, pingTimeoutMs: 60_000 };
  const client = await connect({ nameServers, ...patience });
  const producer = client.producer({ lingerMs: 0 });
  const brokers = new Set<string>();
  let sent = 0;
  for (; sent < countMin || brokers.size < brokersMin; sent += 1) {
    if (sent >= countMin) await new Promise((resolve) => setTimeout(resolve, 20));
    brokers.add((await producer.send({ topic, body: `${prefix} ${sent}` })).broker);
  }
  const texts: string[] = [];
  const consumer = client.consumer({ topic, group: 'page', from: 'earliest' });
  for await (const message of consumer) {
    if (message.text().startsWith(prefix)) texts.push(message.text());
    message.ack();
    if (texts.length === sent) break;
  }
  await client.drain();
  return { brokers: [...brokers].sort(), sent, texts: texts.sort() };
}

describe('a page that knows NameServers, in Chromium', { skip: browserObstacle() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-page-'));
  const brokers: BrokerProcess[] = [];
  let nameServer: BrokerProcess;
  let files: Server;
  let browser: Browser;
  let page: Page;

  before(async () => {
    const { server, origin: allowedOrigins } = await serveOrigin(await clientPage());
    files = server;
    nameServer = await BrokerProcess.start({ role: 'namesrv', settings: { allowedOrigins } });
    for (const brokerName of ['broker-a', 'broker-b']) {
      const settings = { brokerName, namesrvAddr: nameServer.namesrv, allowedOrigins, shards: 1 };
      const dataDir = join(folder, brokerName);
      brokers.push(await BrokerProcess.start({ dataDir, settings }));
    }
    for (const { http } of brokers) {
      const created = await postJson(`${http}/api/topics`, { topic: 'page-orders', queues: 4 });
      assert.ok(created.ok, await created.text());
    }
    await until('both are known for it', async () => {
      const route = await fetch(`http://${nameServer.namesrv}/v1/route?topic=page-orders`);
      const text = await route.text();
      return text.includes('broker-a') && text.includes('broker-b');
    });
    browser = await launchChromium();
    page = await browser.newPage();
    page.setDefaultTimeout(WAIT_MS_MAX);
    await page.goto(allowedOrigins);
  });

  after(async () => {
    await browser?.close();
    for (const one of [...brokers, nameServer]) await one?.kill();
    files?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const texts = (prefix: string, count: number): readonly string[] =>
    Array.from({ length: count }, (_, index) => `${prefix} ${index}`).sort();

  it('sends to all brokers and receives from all', async () => {
    const seen = await page.evaluate(visit, [nameServer.namesrv, 'first', 40, 2] as const);
    assert.deepEqual(seen.brokers, ['broker-a', 'broker-b']);
    assert.deepEqual(seen.texts, texts('first', seen.sent));
  });

  it('goes on with the other broker when one has gone', async () => {
    await brokers[0]?.stop();
    const seen = await page.evaluate(visit, [nameServer.namesrv, 'second', 20, 1] as const);
    assert.deepEqual(seen.brokers, ['broker-b']);
    assert.deepEqual(seen.texts, texts('second', 20));
  });
});
