/**
 * The disk as the broker sees it: one flat directory of files, synchronous calls. `file-storage.ts` is the real one,
 * `testing/sim-storage.ts` the one with faults. Called from shard, flusher and side-job threads; every call may block.
 */

/** One open file. Two handles of one name see each other's bytes at once, like two descriptors. */
export interface StorageFile {
  readonly name: string;
  /** Bytes of the file now. */
  size(): number;
  /**
   * Reads up to `target.length` bytes from `byteOffset`.
   * @returns bytes read; fewer only at the end of the file
   * @throws STORAGE_IO
   */
  read(target: Uint8Array, byteOffset: number): number;
  /**
   * Writes all of `source` at `byteOffset`, extending the file when needed. Not durable before `sync`.
   * @shape `source` is borrowed until the call returns
   * @throws STORAGE_IO, STORAGE_FULL (the file may hold a part of it)
   */
  write(source: Uint8Array, byteOffset: number): void;
  /**
   * Returns once the file's bytes and size are on the disk.
   * @throws STORAGE_IO; then nothing written since the last successful sync may be trusted, ever: no retry
   */
  sync(): void;
  close(): void;
}

/** Free and total bytes of a volume. */
export type VolumeSpace = { readonly freeBytes: number; readonly totalBytes: number };

/** A flat directory. Names are made by the broker from numbers, never from users' input. */
export interface Storage {
  /** Where this is, for messages to people. */
  readonly location: string;
  /** Names of all files, in no order. */
  list(): string[];
  exists(name: string): boolean;
  /** Opens a file for reading and writing. @throws STORAGE_IO when it is missing and `create` is false */
  open(name: string, create: boolean): StorageFile;
  /** Replaces `to` if it exists. Durable after `syncDirectory`. */
  rename(from: string, to: string): void;
  /** Durable after `syncDirectory`; open handles go on reading. */
  remove(name: string): void;
  /** Returns once creations, renames and removals are on the disk. @throws STORAGE_IO */
  syncDirectory(): void;
  space(): VolumeSpace;
}
