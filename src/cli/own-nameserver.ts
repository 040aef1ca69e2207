/** The NameServer of `sluice up`, in the broker's own process: clients and tools find the broker as they would in a cluster. */
import { toSluiceError } from '../base/errors.ts';
import type { Logger } from '../base/log-sink.ts';
import type { BrokerConfig } from '../config/config-schema.ts';
import type { NameServer } from '../nameserver/nameserver.ts';

const PORT = 9876;

/**
 * Starts it on 127.0.0.1, with TLS where the broker has it: a client of RocketMQ speaks TLS with all or with none. Undefined when namesrvAddr names others, or its port is taken: the
 * broker goes on without.
 */
export async function startOwnNameServer(
  config: BrokerConfig,
  log: Logger,
): Promise<NameServer | undefined> {
  const { namesrvAddr, namesrvPort, frontDoorPort, registrationToken } = config;
  if (namesrvAddr !== undefined) return undefined;
  const port = namesrvPort ?? (frontDoorPort === 0 ? 0 : PORT);
  // Not loaded by who does not need it.
  const { createNameServer } = await import('../nameserver/nameserver.ts');
  try {
    // The broker itself registers without.
    const isOnly = config.remotingTlsMode === 'enforcing';
    const tls = {
      ...config,
      remotingTlsMode: isOnly ? 'permissive' : config.remotingTlsMode,
    } as const;
    return await createNameServer({ port, registrationToken, tls, log: log.child('nameserver') });
  } catch (error) {
    const { message } = toSluiceError(error);
    log.warn('no-nameserver', { port, reason: message, next: 'set namesrvPort, or namesrvAddr' });
    return undefined;
  }
}
