/**
 * A directory of a broker, for looking only: files are opened for reading, and whatever would change something is
 * refused. May be used while a broker runs, and by somebody who has no right to write.
 */
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { SluiceError } from '../base/errors.ts';
import type { Storage, StorageFile, VolumeSpace } from '../log/storage.ts';
import { checkStorageName, isStorageName, storageIoError } from '../log/storage-rules.ts';

class ReadOnlyFile implements StorageFile {
  readonly name: string;
  private readonly path: string;
  private readonly descriptor: number;

  constructor(name: string, path: string) {
    this.name = name;
    this.path = path;
    this.descriptor = calling('open', path, () => openSync(path, 'r'));
  }

  size(): number {
    return calling('stat', this.path, () => fstatSync(this.descriptor).size);
  }

  read(target: Uint8Array, byteOffset: number): number {
    let done = 0;
    while (done < target.length) {
      const place = byteOffset + done;
      const count = calling('read', this.path, () =>
        readSync(this.descriptor, target, done, target.length - done, place),
      );
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  write(): void {
    throw refusal('write', this.path);
  }

  sync(): void {
    throw refusal('sync', this.path);
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

export class ReadOnlyStorage implements Storage {
  readonly location: string;

  constructor(directory: string) {
    this.location = resolve(directory);
  }

  list(): string[] {
    const entries = calling('list', this.location, () =>
      readdirSync(this.location, { withFileTypes: true }),
    );
    return entries
      .filter((entry) => entry.isFile() && isStorageName(entry.name))
      .map((entry) => entry.name);
  }

  exists(name: string): boolean {
    checkStorageName(name);
    return statSync(join(this.location, name), { throwIfNoEntry: false })?.isFile() ?? false;
  }

  open(name: string, create: boolean): StorageFile {
    checkStorageName(name);
    const path = join(this.location, name);
    if (create) throw refusal('create', path);
    return new ReadOnlyFile(name, path);
  }

  rename(from: string): void {
    throw refusal('rename', join(this.location, from));
  }

  remove(name: string): void {
    throw refusal('remove', join(this.location, name));
  }

  syncDirectory(): void {
    throw refusal('sync', this.location);
  }

  space(): VolumeSpace {
    const { bsize, blocks, bfree, bavail } = calling('statfs', this.location, () =>
      statfsSync(this.location),
    );
    return { freeBytes: bavail * bsize, totalBytes: (blocks - bfree + bavail) * bsize };
  }
}

function calling<Value>(operation: string, path: string, call: () => Value): Value {
  try {
    return call();
  } catch (cause) {
    throw storageIoError(operation, path, (cause as NodeJS.ErrnoException).code ?? String(cause), {
      cause,
      hint: 'Look at the path and at your rights on it.',
    });
  }
}

/** Only a mistake of ours gets here. */
function refusal(operation: string, path: string): SluiceError {
  return new SluiceError('INVARIANT', `${operation} ${path}: opened for reading only`);
}
