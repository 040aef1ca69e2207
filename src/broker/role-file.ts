/**
 * `role.json` in the data directory: what this broker is, under which epoch, and who decided that. Written whole and synced
 * before the shards open under it, so that no crash lets two brokers reign under one epoch. Blocks; main thread, at changes.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SluiceError } from '../base/errors.ts';
import { FileStorage } from '../log/file-storage.ts';

const FORMAT = 1;
const ROLE_NAME = 'role.json';

export type RoleRecord = {
  readonly role: 'master' | 'slave';
  /** Of its reign; of a slave the newest that it has heard of. */
  readonly epoch: number;
  /** When it acknowledges as master, where its configuration speaks of a slave. */
  readonly ack: 'ASYNC_MASTER' | 'SYNC_MASTER';
  /** `configuration`: the next start may say otherwise. Else it holds, whatever the configuration says. */
  readonly decidedBy: 'configuration' | 'promotion' | 'newer-epoch';
};

/** @returns undefined when the broker had no replication before @throws RECORD_CORRUPT, STORAGE_IO */
export function readRole(directory: string): RoleRecord | undefined {
  const file = join(directory, ROLE_NAME);
  if (!existsSync(file)) return undefined;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new SluiceError('STORAGE_IO', `${file} cannot be read: ${String(cause)}`, { cause });
  }
  const record = parsed(text);
  if (record !== undefined) return record;
  throw new SluiceError('RECORD_CORRUPT', `${file} does not say what this broker is`, {
    hint: 'Restore it from a backup. Without it the broker would take the role of its configuration: remove it only when no other broker was ever promoted. Nothing was changed.',
  });
}

/** @throws STORAGE_IO, STORAGE_FULL */
export function writeRole(directory: string, { role, epoch, ack, decidedBy }: RoleRecord): void {
  const storage = new FileStorage(directory);
  const temporary = `${ROLE_NAME}.tmp`;
  const file = storage.open(temporary, true);
  const text = `${JSON.stringify({ format: FORMAT, role, epoch, ack, decidedBy })}\n`;
  file.write(new TextEncoder().encode(text), 0);
  file.sync();
  file.close();
  storage.rename(temporary, ROLE_NAME);
  storage.syncDirectory();
}

function parsed(text: string): RoleRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { format, role, epoch, ack, decidedBy } = (value ?? {}) as Record<string, unknown>;
  const isRole = role === 'master' || role === 'slave';
  const isEpoch = typeof epoch === 'number' && Number.isSafeInteger(epoch) && epoch >= 0;
  const isDecided =
    decidedBy === 'configuration' || decidedBy === 'promotion' || decidedBy === 'newer-epoch';
  const isAck = ack === 'ASYNC_MASTER' || ack === 'SYNC_MASTER';
  return format === FORMAT && isRole && isEpoch && isAck && isDecided
    ? { role, epoch, ack, decidedBy }
    : undefined;
}
