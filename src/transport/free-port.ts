/** A port that is free now, asked of the system by way of Node. */
import { createServer } from 'node:net';
import { listenError } from './listen-error.ts';

/** @throws INVALID_ARGUMENT when the host is not one of this machine */
export function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error) => reject(listenError(host, 0, error)));
    probe.listen({ host, port: 0, exclusive: true }, () => {
      const address = probe.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}
