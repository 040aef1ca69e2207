/** Why a front door could not listen, in words that name host and port. Event-loop thread of the front door. */
import { createServer } from 'node:net';
import { SluiceError } from '../base/errors.ts';

const CAUSES: ReadonlyMap<string, readonly [text: string, hint: string]> = new Map([
  [
    'EADDRINUSE',
    [
      'is in use by another process',
      'Stop that process, or choose another port (0 picks a free one).',
    ],
  ],
  [
    'EACCES',
    ['may not be used by this user', 'Choose a port above 1023, or give the right to bind it.'],
  ],
  [
    'EADDRNOTAVAIL',
    ['is not on an address of this machine', 'Choose an address that this machine has.'],
  ],
  [
    'ENOTFOUND',
    ['is on a host whose name has no address', 'Correct the host, or give its address.'],
  ],
]);

/** The error of a failed listen, from what the system said. */
export function listenError(host: string, port: number, cause: unknown): SluiceError {
  const code = (cause as { readonly code?: string }).code ?? '';
  const [text, hint] = CAUSES.get(code) ?? [`cannot be listened on (${code})`, undefined];
  return new SluiceError('INVALID_ARGUMENT', `port ${port} of ${host} ${text}`, {
    cause,
    facts: { host, port },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** The same where the library only said that it failed: Node is asked to listen there, and says why it cannot. */
export function findListenError(host: string, port: number): Promise<SluiceError> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error) => resolve(listenError(host, port, error)));
    probe.listen({ host, port, exclusive: true }, () => {
      const cause = new Error('the library could not listen, though the port is free now');
      probe.close(() => resolve(listenError(host, port, cause)));
    });
  });
}
