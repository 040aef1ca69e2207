/** Whole files of a `Storage` at once, and what a power loss did to a sector: for tests of the simulated disk. */
import { SluiceError } from '../base/errors.ts';
import { seededPrng } from '../base/prng.ts';
import { MIB } from '../base/units.ts';
import type { Storage, StorageFile } from '../log/storage.ts';
import type { CrashProfile } from './sim-page.ts';
import { SimStorage } from './sim-storage.ts';

/** Everything survives, synced or not. */
export const ALL_KEPT: CrashProfile = { sectorKept: 1, sectorTorn: 0, sizeKept: 1, namesKept: 1 };

/** An empty disk. */
export function simStorage(seed = 1, capacityBytes: number = 64 * MIB): SimStorage {
  return new SimStorage({ prng: seededPrng(seed), capacityBytes });
}

/** Bytes that are all the same. */
export function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

/** All bytes of an open file. */
export function bytesOf(file: StorageFile): Uint8Array {
  const target = new Uint8Array(file.size());
  file.read(target, 0);
  return target;
}

/** All bytes of a file. */
export function contentOf(storage: Storage, name: string): Uint8Array {
  const file = storage.open(name, false);
  const bytes = bytesOf(file);
  file.close();
  return bytes;
}

/** A file whose name, size and bytes (all of one value) are durable. */
export function durableFile(
  storage: SimStorage,
  name: string,
  length: number,
  value: number,
): StorageFile {
  const file = storage.open(name, true);
  file.write(filled(length, value), 0);
  file.sync();
  storage.syncDirectory();
  return file;
}

/** How a sector of value `old` looks after `fresh` was written over it and the power failed. */
export function fateOf(
  sector: Uint8Array,
  old: number,
  fresh: number,
): 'kept' | 'dropped' | 'torn' | 'strange' {
  if (sector.every((byte) => byte === fresh)) return 'kept';
  if (sector.every((byte) => byte === old)) return 'dropped';
  let changes = 0;
  for (let index = 1; index < sector.length; index += 1) {
    if (sector[index] !== sector[index - 1]) changes += 1;
  }
  return changes === 1 && sector.every((byte) => byte === old || byte === fresh)
    ? 'torn'
    : 'strange';
}

/** For `assert.throws`: is it a SluiceError with this code? */
export function code(expected: string): (error: unknown) => boolean {
  return (error) => error instanceof SluiceError && error.code === expected;
}
