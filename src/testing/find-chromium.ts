/** Chromium for the tests of pages: where this machine has it, whether it is asked for, and a server of pages for it. */
import { existsSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

/** The program that `CHROMIUM` names, else the first found in PATH; undefined when there is none. */
export function findChromium(): string | undefined {
  const named = process.env['CHROMIUM'];
  if (named !== undefined && named !== '') return existsSync(named) ? named : undefined;
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const name of NAMES)
    for (const folder of folders) if (existsSync(join(folder, name))) return join(folder, name);
  return undefined;
}

/** Why no browser is started here; false when one is. */
export function browserObstacle(): string | false {
  if (process.env['BROWSER_TESTS'] === undefined)
    return 'a browser is started only by: npm run test:browser';
  return findChromium() === undefined
    ? 'there is no Chromium: install one, or name it by CHROMIUM=/path/to/chromium'
    : false;
}

export function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  return chromium.launch({
    ...(executablePath === undefined ? {} : { executablePath }),
    // A container's root has no other way; the pages are ours.
    args: ['--no-sandbox'],
  });
}

/** A web server of a page, as any would be. @returns it, and the origin of what it serves */
export async function serveOrigin(
  answer: RequestListener,
): Promise<{ readonly server: Server; readonly origin: string }> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
