/**
 * `Storage` on a directory of a real disk, with node:fs. Called from shard, flusher and side-job threads, each with an
 * instance of its own; every call blocks on the disk. Errors of the system become STORAGE_IO or STORAGE_FULL here, so
 * that nobody above reads an errno.
 */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { invariant } from '../base/assert.ts';
import type { SluiceError } from '../base/errors.ts';
import type { Storage, StorageFile, VolumeSpace } from './storage.ts';
import {
  checkStorageName,
  isStorageName,
  storageFullError,
  storageIoError,
} from './storage-rules.ts';

/** The log is the users' data: nobody but the broker's own user reads it. */
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
/** Bytes of one system call; Linux moves at most 2^31 - 4096 and Node takes a signed 32-bit length. */
const CALL_BYTES_MAX = 1_073_741_824;
/** A link planted in the data directory must not lead a write elsewhere; Windows does not know the flag. */
const NO_FOLLOW: number = constants.O_NOFOLLOW ?? 0;

function errnoOf(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code ?? 'UNKNOWN';
}

const REASON_HINTS: Readonly<Record<string, string>> = {
  EACCES: 'The user that runs the broker needs read and write rights on the data directory.',
  EPERM: 'The user that runs the broker needs read and write rights on the data directory.',
  EROFS: 'The file system is mounted read-only, often after a disk error: check the kernel log.',
  EMFILE: 'Raise the limit of open files (ulimit -n) of the broker process.',
  ENFILE: 'The system has no more open files to give: raise fs.file-max.',
  ELOOP: 'A symbolic link lies where a file of the broker should be; remove it.',
};

class FileStorageFile implements StorageFile {
  readonly name: string;
  private readonly storage: FileStorage;
  private descriptor: number;
  /** Latched: the kernel reports a failed write-back once and then forgets it, so a second sync would lie. */
  private syncFailed: boolean;

  constructor(storage: FileStorage, name: string, descriptor: number) {
    this.storage = storage;
    this.name = name;
    this.descriptor = descriptor;
    this.syncFailed = false;
  }

  size(): number {
    const descriptor = this.opened();
    try {
      return fstatSync(descriptor).size;
    } catch (error) {
      throw this.storage.ioError('stat', this.name, error);
    }
  }

  read(target: Uint8Array, byteOffset: number): number {
    const descriptor = this.opened();
    invariant(
      Number.isSafeInteger(byteOffset) && byteOffset >= 0,
      'read at a byte offset',
      byteOffset,
    );
    let done = 0;
    while (done < target.length) {
      const length = Math.min(target.length - done, CALL_BYTES_MAX);
      let count: number;
      try {
        count = readSync(descriptor, target, done, length, byteOffset + done);
      } catch (error) {
        throw this.storage.ioError('read', this.name, error);
      }
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  write(source: Uint8Array, byteOffset: number): void {
    const descriptor = this.opened();
    invariant(
      Number.isSafeInteger(byteOffset) && byteOffset >= 0,
      'write at a byte offset',
      byteOffset,
    );
    let done = 0;
    while (done < source.length) {
      const length = Math.min(source.length - done, CALL_BYTES_MAX);
      let count: number;
      try {
        count = writeSync(descriptor, source, done, length, byteOffset + done);
      } catch (error) {
        throw this.storage.spaceError('write', this.name, error);
      }
      // A regular file takes at least one byte or fails; without this a broken driver would hang the thread.
      if (count === 0) throw storageIoError('write', this.storage.pathOf(this.name), 'no progress');
      done += count;
    }
  }

  sync(): void {
    const descriptor = this.opened();
    if (this.syncFailed) {
      throw storageIoError('sync', this.storage.pathOf(this.name), 'an earlier sync failed');
    }
    try {
      fdatasyncSync(descriptor);
    } catch (error) {
      this.syncFailed = true;
      // Not STORAGE_FULL, whatever the errno: with delayed allocation the bytes are gone, and "not stored,
      // try again" would be a lie about them.
      throw this.storage.ioError('sync', this.name, error);
    }
  }

  close(): void {
    if (this.descriptor === -1) return;
    const descriptor = this.descriptor;
    this.descriptor = -1;
    try {
      closeSync(descriptor);
    } catch (error) {
      throw this.storage.ioError('close', this.name, error);
    }
  }

  private opened(): number {
    invariant(this.descriptor !== -1, 'the file is open');
    return this.descriptor;
  }
}

/**
 * A directory on a disk. It is created, durably, when it does not exist.
 *
 * @throws STORAGE_IO when the directory cannot be created or is not one
 */
export class FileStorage implements Storage {
  readonly location: string;

  constructor(directory: string) {
    this.location = resolve(directory);
    this.createDirectory();
  }

  list(): string[] {
    try {
      const entries = readdirSync(this.location, { withFileTypes: true });
      return entries
        .filter((entry) => entry.isFile() && isStorageName(entry.name))
        .map((entry) => entry.name);
    } catch (error) {
      throw this.ioError('list', '', error);
    }
  }

  exists(name: string): boolean {
    checkStorageName(name);
    try {
      return lstatSync(this.pathOf(name), { throwIfNoEntry: false })?.isFile() ?? false;
    } catch (error) {
      throw this.ioError('stat', name, error);
    }
  }

  open(name: string, create: boolean): StorageFile {
    checkStorageName(name);
    const flags = constants.O_RDWR | NO_FOLLOW | (create ? constants.O_CREAT : 0);
    try {
      return new FileStorageFile(this, name, openSync(this.pathOf(name), flags, FILE_MODE));
    } catch (error) {
      throw this.spaceError('open', name, error);
    }
  }

  rename(from: string, to: string): void {
    checkStorageName(from);
    checkStorageName(to);
    try {
      renameSync(this.pathOf(from), this.pathOf(to));
    } catch (error) {
      throw this.spaceError('rename', from, error);
    }
  }

  remove(name: string): void {
    checkStorageName(name);
    try {
      unlinkSync(this.pathOf(name));
    } catch (error) {
      throw this.ioError('remove', name, error);
    }
  }

  syncDirectory(): void {
    this.syncDirectoryAt(this.location);
  }

  space(): VolumeSpace {
    try {
      const { bsize, blocks, bfree, bavail } = statfsSync(this.location);
      // As df counts: blocks kept for root are neither free nor part of the whole, so that "free / total"
      // is 0 exactly when the broker cannot write any more.
      return { freeBytes: bavail * bsize, totalBytes: (blocks - bfree + bavail) * bsize };
    } catch (error) {
      throw this.ioError('statfs', '', error);
    }
  }

  /** The path of a checked name; the empty name is the directory. */
  pathOf(name: string): string {
    return name === '' ? this.location : join(this.location, name);
  }

  ioError(operation: string, name: string, error: unknown): SluiceError {
    const reason = errnoOf(error);
    const hint = REASON_HINTS[reason];
    return storageIoError(operation, this.pathOf(name), reason, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    });
  }

  /** STORAGE_FULL when the error is about space, else STORAGE_IO. */
  spaceError(operation: string, name: string, error: unknown): SluiceError {
    const reason = errnoOf(error);
    if (reason !== 'ENOSPC' && reason !== 'EDQUOT') return this.ioError(operation, name, error);
    return storageFullError(
      operation,
      this.pathOf(name),
      this.location,
      this.freeBytesOrZero(),
      error,
    );
  }

  /** The refusal matters more than the number in it: a failing statfs must not replace it. */
  private freeBytesOrZero(): number {
    try {
      return this.space().freeBytes;
    } catch {
      return 0;
    }
  }

  private createDirectory(): void {
    let first: string | undefined;
    try {
      first = mkdirSync(this.location, { recursive: true, mode: DIRECTORY_MODE });
    } catch (error) {
      throw this.spaceError('create directory', '', error);
    }
    if (first === undefined) return;
    // A new directory is an entry of its parent: without these, a power loss takes the whole log with it.
    for (let created = this.location; ; created = dirname(created)) {
      this.syncDirectoryAt(dirname(created));
      if (created === first) return;
    }
  }

  private syncDirectoryAt(path: string): void {
    // Windows has no such call; NTFS journals names by itself.
    if (process.platform === 'win32') return;
    try {
      const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
    } catch (error) {
      throw this.ioError('sync directory', '', error);
    }
  }
}
