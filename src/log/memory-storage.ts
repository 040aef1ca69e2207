/**
 * `Storage` without a disk, for brokers that are started with `memory: true`: files are lists of chunks, charged on the first
 * write and allocated on the first one that is not zeros, bounded by a capacity. Belongs to one thread; never blocks; nothing survives the process.
 */
import { checkArgument, invariant } from '../base/assert.ts';
import { KIB } from '../base/units.ts';
import type { Storage, StorageFile, VolumeSpace } from './storage.ts';
import { checkStorageName, storageFullError, storageIoError } from './storage-rules.ts';

/** Bytes by which a file grows: small enough for a checkpoint file, large enough that a segment is few chunks. */
const CHUNK_BYTES: number = 64 * KIB;
/** Stands for every chunk of zeros: a segment is made of them before it is used. Never written to. */
const ZEROS: Uint8Array = new Uint8Array(CHUNK_BYTES);

/** Content of one file: outlives its name as long as a handle is open. */
type MemoryContent = {
  readonly chunks: (Uint8Array | undefined)[];
  size: number;
  chunkCount: number;
  handleCount: number;
  named: boolean;
};

function isZeros(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
}

class MemoryStorageFile implements StorageFile {
  readonly name: string;
  private readonly storage: MemoryStorage;
  private readonly content: MemoryContent;
  private open: boolean;

  constructor(storage: MemoryStorage, name: string, content: MemoryContent) {
    this.storage = storage;
    this.name = name;
    this.content = content;
    this.open = true;
    content.handleCount += 1;
  }

  size(): number {
    invariant(this.open, 'the file is open');
    return this.content.size;
  }

  read(target: Uint8Array, byteOffset: number): number {
    invariant(this.open, 'the file is open');
    invariant(
      Number.isSafeInteger(byteOffset) && byteOffset >= 0,
      'read at a byte offset',
      byteOffset,
    );
    const count = Math.max(0, Math.min(target.length, this.content.size - byteOffset));
    let done = 0;
    while (done < count) {
      const start = (byteOffset + done) % CHUNK_BYTES;
      const length = Math.min(count - done, CHUNK_BYTES - start);
      const chunk = this.content.chunks[Math.floor((byteOffset + done) / CHUNK_BYTES)];
      if (chunk === undefined) target.fill(0, done, done + length);
      else target.set(chunk.subarray(start, start + length), done);
      done += length;
    }
    return count;
  }

  write(source: Uint8Array, byteOffset: number): void {
    invariant(this.open, 'the file is open');
    invariant(
      Number.isSafeInteger(byteOffset) && byteOffset >= 0,
      'write at a byte offset',
      byteOffset,
    );
    let done = 0;
    while (done < source.length) {
      const start = (byteOffset + done) % CHUNK_BYTES;
      const length = Math.min(source.length - done, CHUNK_BYTES - start);
      const index = Math.floor((byteOffset + done) / CHUNK_BYTES);
      const part = source.subarray(done, done + length);
      let chunk = this.storage.chunkFor(this.name, this.content, index);
      if (chunk === ZEROS && !isZeros(part)) {
        chunk = new Uint8Array(CHUNK_BYTES);
        this.content.chunks[index] = chunk;
      }
      if (chunk !== ZEROS) chunk.set(part, start);
      done += length;
      this.content.size = Math.max(this.content.size, byteOffset + done);
    }
  }

  sync(): void {
    invariant(this.open, 'the file is open');
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.content.handleCount -= 1;
    this.storage.release(this.content);
  }
}

/** Files in the memory of this thread, together at most `capacityBytes` (counted in chunks of 64 KiB). */
export class MemoryStorage implements Storage {
  readonly location = 'memory';
  private readonly capacityBytes: number;
  private readonly contents: Map<string, MemoryContent>;
  private usedBytes: number;

  /** @param capacityBytes - a write that needs more ends in STORAGE_FULL */
  constructor(capacityBytes: number) {
    checkArgument(
      capacityBytes >= CHUNK_BYTES,
      `capacityBytes is ${capacityBytes}; at least ${CHUNK_BYTES}`,
    );
    this.capacityBytes = capacityBytes;
    this.contents = new Map();
    this.usedBytes = 0;
  }

  list(): string[] {
    return [...this.contents.keys()];
  }

  exists(name: string): boolean {
    checkStorageName(name);
    return this.contents.has(name);
  }

  open(name: string, create: boolean): StorageFile {
    checkStorageName(name);
    let content = this.contents.get(name);
    if (content === undefined) {
      if (!create) throw storageIoError('open', `${this.location}/${name}`, 'ENOENT');
      content = { chunks: [], size: 0, chunkCount: 0, handleCount: 0, named: true };
      this.contents.set(name, content);
    }
    return new MemoryStorageFile(this, name, content);
  }

  rename(from: string, to: string): void {
    checkStorageName(from);
    checkStorageName(to);
    const content = this.contents.get(from);
    if (content === undefined) throw storageIoError('rename', `${this.location}/${from}`, 'ENOENT');
    if (from === to) return;
    this.unlink(to);
    this.contents.delete(from);
    this.contents.set(to, content);
  }

  remove(name: string): void {
    checkStorageName(name);
    if (!this.unlink(name)) throw storageIoError('remove', `${this.location}/${name}`, 'ENOENT');
  }

  syncDirectory(): void {}

  space(): VolumeSpace {
    return { freeBytes: this.capacityBytes - this.usedBytes, totalBytes: this.capacityBytes };
  }

  /** The chunk at this index, charged and zeros if it is not there yet. @throws STORAGE_FULL */
  chunkFor(name: string, content: MemoryContent, index: number): Uint8Array {
    const existing = content.chunks[index];
    if (existing !== undefined) return existing;
    if (this.usedBytes + CHUNK_BYTES > this.capacityBytes) {
      const { freeBytes } = this.space();
      throw storageFullError('write', `${this.location}/${name}`, this.location, freeBytes);
    }
    content.chunks[index] = ZEROS;
    content.chunkCount += 1;
    this.usedBytes += CHUNK_BYTES;
    return ZEROS;
  }

  /** Gives the bytes back once neither a name nor a handle leads to them. */
  release(content: MemoryContent): void {
    if (content.named || content.handleCount > 0) return;
    this.usedBytes -= content.chunkCount * CHUNK_BYTES;
    content.chunkCount = 0;
    content.chunks.length = 0;
  }

  private unlink(name: string): boolean {
    const content = this.contents.get(name);
    if (content === undefined) return false;
    this.contents.delete(name);
    content.named = false;
    this.release(content);
    return true;
  }
}
