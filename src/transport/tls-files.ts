/** Certificate and key of a port that speaks TLS, from the files that the configuration names. Read at the start. */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { SluiceError } from '../base/errors.ts';
import type { TlsRule } from './tcp.ts';

/** Settings of a broker and of a NameServer, by their names. */
export type TlsSettings = {
  readonly remotingTlsMode: 'disabled' | 'permissive' | 'enforcing' | undefined;
  readonly remotingTlsCertFile: string | undefined;
  readonly remotingTlsKeyFile: string | undefined;
};

/**
 * @returns undefined: the port speaks no TLS
 * @throws INVALID_ARGUMENT when a file cannot be read, or is none of the kind
 */
export function readTlsRule(settings: TlsSettings): TlsRule | undefined {
  const { remotingTlsMode, remotingTlsCertFile, remotingTlsKeyFile } = settings;
  if (remotingTlsMode === 'disabled') return undefined;
  if (remotingTlsCertFile === undefined || remotingTlsKeyFile === undefined) return undefined;
  try {
    const [cert, key] = [readFileSync(remotingTlsCertFile), readFileSync(remotingTlsKeyFile)];
    createSecureContext({ cert, key });
    return { cert, key, isRequired: remotingTlsMode === 'enforcing' };
  } catch (error) {
    const text = `remotingTlsCertFile or remotingTlsKeyFile cannot be used: ${(error as Error).message}`;
    const hint = 'Both are files in PEM, and the key is that of the first certificate.';
    throw new SluiceError('INVALID_ARGUMENT', text, { cause: error, hint });
  }
}
