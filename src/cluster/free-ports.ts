/** Ports for processes that are about to start. */
import { createServer, type Server } from 'node:net';
import { SluiceError } from '../base/errors.ts';

const HOST = '127.0.0.1';

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, HOST, () => resolve(server));
  });
}

/**
 * @param base - the first of `count` consecutive ports; 0: any free ones
 * @throws INVALID_ARGUMENT that names the port in use
 */
export async function choosePorts(base: number, count: number): Promise<readonly number[]> {
  const wanted = Array.from({ length: count }, (_, index) => (base === 0 ? 0 : base + index));
  const held: Server[] = [];
  try {
    // All are held until the last one is known, so that none is given out twice.
    for (const port of wanted) held.push(await listen(port));
    return held.map((server) => (server.address() as { readonly port: number }).port);
  } catch (error) {
    const port = (error as { readonly port?: number }).port ?? base;
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `port ${port} of ${HOST} cannot be used: ${String(error)}`,
      {
        hint: `The cluster takes ${count} ports from ${base} on. Choose another start with --port, or --port 0 for free ones.`,
        cause: error,
      },
    );
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}
