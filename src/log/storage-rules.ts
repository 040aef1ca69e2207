/**
 * What all implementations of `Storage` share: the rule for file names and the two errors a disk can answer with, so
 * that a real disk, memory and the simulated disk refuse in the same words. Pure; any thread.
 */
import { SluiceError } from '../base/errors.ts';

/** Starts with a letter or digit: so never `.`, `..`, a hidden file or something that looks like an option. */
const STORAGE_NAME_RULE = /^[a-z0-9][a-z0-9.-]{0,126}$/;

/** May a file of the broker have this name? */
export function isStorageName(name: string): boolean {
  return STORAGE_NAME_RULE.test(name);
}

/**
 * The last door before a path is built from a name.
 * @throws INVALID_ARGUMENT
 */
export function checkStorageName(name: string): void {
  if (isStorageName(name)) return;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `the file name ${JSON.stringify(name)} is not allowed`,
    {
      hint: 'File names have 1 to 127 characters of a-z 0-9 . - and start with a letter or digit.',
    },
  );
}

/**
 * @param file - where it happened, as a person would look for it
 * @param reason - what the system said, e.g. `EIO`
 */
export function storageIoError(
  operation: string,
  file: string,
  reason: string,
  options: { readonly hint?: string; readonly cause?: unknown } = {},
): SluiceError {
  return new SluiceError('STORAGE_IO', `${operation} ${file}: ${reason}`, {
    ...options,
    facts: { operation, file, reason },
  });
}

/** @param freeBytes - free on the volume at the moment of the refusal */
export function storageFullError(
  operation: string,
  file: string,
  volume: string,
  freeBytes: number,
  cause?: unknown,
): SluiceError {
  return new SluiceError(
    'STORAGE_FULL',
    `${operation} ${file}: the volume of ${volume} is full, ${freeBytes} bytes are free`,
    { facts: { operation, file, volume, freeBytes }, cause },
  );
}
