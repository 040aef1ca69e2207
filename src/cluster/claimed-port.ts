/**
 * Ports for listeners that come later, or come back: another process that asks here meanwhile never gets the same one. They
 * lie below those that the system gives out, so that nothing that dials out takes one of them, and a client that dials
 * one in vain cannot meet itself.
 *
 * A claim is a listener on the guard port beside the port. The system gives it to one process at a time and takes it back
 * when that process ends, however it ends: there is no file that could stay behind, and nothing to ask about who still lives.
 */
import { createServer, type Server } from 'node:net';
import { SluiceError } from '../base/errors.ts';

const HOST = '127.0.0.1';
const PORT_MIN = 20_000;
const PORT_COUNT = 5_000;
/** From a port to its guard. */
const GUARD_OFFSET = PORT_COUNT;
/** Has no divisor in common with the count: processes of neighbouring ids begin their search far from each other. */
const SPREAD = 7_919;

function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', () => resolve(undefined));
    server.listen({ host: HOST, port, exclusive: true }, () => resolve(server));
  });
}

function close(server: Server): Promise<unknown> {
  return new Promise((resolve) => server.close(resolve));
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen(port);
  if (server === undefined) return false;
  await close(server);
  return true;
}

/**
 * A port of this process until it ends; each call gives another one. The claim does not keep the process alive.
 *
 * @throws LIMIT_REACHED when every port is claimed or in use
 */
export async function claimPort(): Promise<number> {
  const start = process.pid * SPREAD;
  for (let step = 0; step < PORT_COUNT; step += 1) {
    const port = PORT_MIN + ((start + step) % PORT_COUNT);
    const guard = await listen(port + GUARD_OFFSET);
    if (guard === undefined) continue;
    // One may be in use without a claim: by a process whose parent claimed it and is gone, or by another program.
    if (await isFree(port)) {
      guard.unref();
      return port;
    }
    await close(guard);
  }
  const [first, last] = [PORT_MIN, PORT_MIN + PORT_COUNT - 1];
  throw new SluiceError('LIMIT_REACHED', `no port of ${first} to ${last} is free on ${HOST}`, {
    hint: `Each needs the one ${GUARD_OFFSET} above it, too. End processes that listen there.`,
  });
}
