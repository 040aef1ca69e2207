/**
 * The example page in a real browser against a real broker: send, receive, ack, nack with delay, redelivery, `kill -9`
 * and return, the outbox over reloads while the broker is down, drain.
 *
 *   npm run test:browser                              needs Chromium, in PATH or named by CHROMIUM
 *   SCREENSHOTS=folder npm run test:browser           keeps pictures of the page
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { RequestListener, Server } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { build } from 'vite';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { BrokerProcess, type BrokerProcessOptions, until } from '../../src/testing/e2e-broker.ts';
import { browserObstacle, launchChromium, serveOrigin } from '../../src/testing/find-chromium.ts';
import { connect } from '../../src/testing/patient-client.ts';
import { projectRoot } from '../../src/testing/source-tree.ts';

const WAIT_MS_MAX = 120_000;
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
};

/** The files of a folder. */
function filesOf(folder: string): RequestListener {
  return (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://page');
    try {
      const path = pathname === '/' ? '/index.html' : pathname;
      response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream');
      response.end(readFileSync(join(folder, path)));
    } catch {
      response.writeHead(404).end();
    }
  };
}

describe('the page in Chromium', { skip: browserObstacle() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-browser-'));
  const complaints: string[] = [];
  let files: Server;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let broker: BrokerProcess;
  let options: BrokerProcessOptions;
  let address: string;

  before(async () => {
    await build({
      configFile: join(projectRoot(), 'examples/browser/vite.config.ts'),
      logLevel: 'silent',
      build: { outDir: join(folder, 'page'), emptyOutDir: true },
    });
    const { server, origin } = await serveOrigin(filesOf(join(folder, 'page')));
    files = server;
    options = {
      dataDir: join(folder, 'data'),
      port: await claimPort(),
      settings: { allowedOrigins: origin },
    };
    broker = await BrokerProcess.start(options);
    address = `${origin}/?server=${encodeURIComponent(broker.ws)}`;
    browser = await launchChromium();
    context = await browser.newContext({ viewport: { width: 1180, height: 860 } });
    context.setDefaultTimeout(WAIT_MS_MAX);
    page = await openPage();
  });

  after(async () => {
    await browser?.close();
    await broker?.kill();
    files?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function openPage(): Promise<Page> {
    const opened = await context.newPage();
    opened.on('pageerror', (error) => complaints.push(String(error)));
    await opened.goto(address);
    return opened;
  }

  const reads = (target: Page, id: string, text: string): Promise<unknown> =>
    target.waitForSelector(`#${id}:text-is("${text}")`);
  const connection = (target: Page, state: string): Promise<unknown> =>
    target.waitForSelector(`#connection[data-state="${state}"]`);

  async function type(target: Page, text: string): Promise<void> {
    await target.fill('#text', text);
    await target.press('#text', 'Enter');
  }

  async function picture(name: string): Promise<void> {
    const target = process.env['SCREENSHOTS'];
    if (target !== undefined) await page.screenshot({ path: join(target, `${name}.png`) });
  }

  /** The texts in the topic, queue after queue. */
  async function storedTexts(): Promise<string[]> {
    const client = await connect({ servers: broker.ws });
    const texts: string[] = [];
    const { queues } = await client.topic('page-events');
    for (let queueId = 0; queueId < queues; queueId += 1) {
      let offset = 0;
      for (;;) {
        const got = await client.fetch({ topic: 'page-events', queueId, offset, max: 100 });
        texts.push(...got.messages.map(({ body }) => (body as { text: string }).text));
        if (got.messages.length === 0) break;
        offset = got.nextOffset;
      }
    }
    await client.close();
    return texts;
  }

  it('sends with the durability of the receipt, and receives', async () => {
    await connection(page, 'connected');
    await type(page, 'hello from the page');
    await page.waitForSelector('#sent li[data-state="stored"] :text("stored (disk)")');
    await page.waitForSelector('#received li[data-state="acked"] :text("hello from the page")');
    await page.click('#burst');
    await reads(page, 'received-count', '21');
    await reads(page, 'outbox-count', '0');
  });

  it('delivers again what was nacked, after its delay', async () => {
    await page.uncheck('#auto-ack');
    await type(page, 'once more');
    await page.click('#received li:has-text("once more") button:has-text("Again")');
    await page.waitForSelector('#received li:has-text("once more"):has-text("delivery 2") button');
    await picture('online');
    await page.click('#received li:has-text("delivery 2") button:has-text("Ack")');
    await page.waitForSelector('#received li[data-state="acked"]:has-text("delivery 2")');
    await page.check('#auto-ack');
  });

  it('loses and repeats nothing over a killed broker and a page that is reloaded meanwhile', async () => {
    await broker.kill();
    await connection(page, 'offline');
    for (let index = 0; index < 5; index += 1) await type(page, `offline ${index}`);
    await reads(page, 'outbox-count', '5');
    await picture('offline');
    await page.reload();
    await reads(page, 'outbox-count', '5');
    for (let index = 5; index < 8; index += 1) await type(page, `offline ${index}`);
    await reads(page, 'outbox-count', '8');
    await page.close();
    page = await openPage();
    await reads(page, 'outbox-count', '8');
    broker = await BrokerProcess.start(options);
    await reads(page, 'stored-count', '8');
    await reads(page, 'outbox-count', '0');
    const offline = (await storedTexts()).filter((text) => text.startsWith('offline'));
    assert.deepEqual(
      offline,
      Array.from({ length: 8 }, (_, index) => `offline ${index}`),
    );
  });

  it('is reloaded in the middle of sending, again and again, and all is stored once', async () => {
    const earlier = (await storedTexts()).length;
    for (let life = 0; life < 10; life += 1) {
      await connection(page, 'connected');
      await page.click('#burst');
      // What is kept is safe; the answers of some are still on their way.
      await page.waitForSelector('#sent li[data-state="stored"]');
      await page.reload();
    }
    await connection(page, 'connected');
    await type(page, 'the last');
    await page.waitForSelector('#sent li[data-state="stored"]');
    await reads(page, 'outbox-count', '0');
    const stored = await storedTexts();
    assert.equal(stored.length, earlier + 10 * 20 + 1);
    const databases = await page.evaluate(async () => {
      const { indexedDB } = globalThis as unknown as {
        indexedDB: { databases(): Promise<unknown[]> };
      };
      return (await indexedDB.databases()).length;
    });
    assert.equal(databases, 1, 'each life of the page took the place of the one before');
  });

  it('gives a second tab an identity of its own', async () => {
    const earlier = (await storedTexts()).length;
    const second = await openPage();
    await connection(second, 'connected');
    await Promise.all([page.click('#burst'), second.click('#burst')]);
    await second.waitForSelector('#sent li[data-state="stored"]');
    // What the first page shows of itself may be of before: what is stored is asked.
    await until('both bursts are stored', async () => (await storedTexts()).length >= earlier + 40);
    await Promise.all([reads(page, 'outbox-count', '0'), reads(second, 'outbox-count', '0')]);
    assert.equal((await storedTexts()).length, earlier + 40);
    await second.close();
  });

  it('drains: what it has is stored, then it is closed', async () => {
    await page.click('#burst');
    await page.click('#drain');
    await connection(page, 'closed');
    assert.equal(await page.locator('#sent li:not([data-state="stored"])').count(), 0);
    await picture('drained');
    assert.deepEqual(complaints, []);
  });
});
