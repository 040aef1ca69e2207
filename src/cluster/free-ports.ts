/** Ports for processes that are about to start. */
import { createServer, type Server } from 'node:net';
import { SluiceError } from '../base/errors.ts';
import { claimPort } from './claimed-port.ts';

const HOST = '127.0.0.1';

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, HOST, () => resolve(server));
  });
}

/**
 * @param base - the first of `count` consecutive ports; 0: any free ones, which stay free for this process's own until it ends
 * @throws INVALID_ARGUMENT that names the port in use; LIMIT_REACHED
 */
export async function choosePorts(base: number, count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  for (let index = 0; index < count; index += 1)
    ports.push(base === 0 ? await claimPort() : await freePort(base + index, base, count));
  return ports;
}

async function freePort(port: number, base: number, count: number): Promise<number> {
  try {
    const server = await listen(port);
    await new Promise((resolve) => server.close(resolve));
    return port;
  } catch (error) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `port ${port} of ${HOST} cannot be used: ${String(error)}`,
      {
        hint: `The cluster takes ${count} ports from ${base} on. Choose another start with --port, or --port 0 for free ones.`,
        cause: error,
      },
    );
  }
}
