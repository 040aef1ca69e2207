/** What a path leads to: a whole data directory, the directory of one shard, or one of its files. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import {
  CHECKPOINT_NAME,
  positionOfSnapshotName,
  segmentName,
  segmentOfIndexName,
  segmentOfName,
} from '../log/file-names.ts';
import { ReadOnlyStorage } from './read-only-storage.ts';
import { UsageError } from './report-error.ts';

const META_NAME = 'meta.json';
const LOCK_NAME = 'lock';
const SHARD_DIRECTORY = /^shard-(\d+)$/;

/** The shape that a store was made with. */
export type StoreMeta = {
  readonly format: number;
  readonly shards: number;
  readonly segmentBytes: number;
  readonly chunkBytes: number;
};

/** One shard's directory. */
export type ShardPlace = {
  /** Undefined when its directory has another name. */
  readonly shard: number | undefined;
  readonly storage: ReadOnlyStorage;
  readonly segmentBytes: number;
  readonly chunkBytes: number | undefined;
};

export type StorePlace = {
  readonly path: string;
  readonly meta: StoreMeta | undefined;
  /** Process that has the store open, as far as its lock says. */
  readonly holderPid: number | undefined;
  readonly shards: readonly ShardPlace[];
  /** Directories that meta.json promises and that are not there. */
  readonly missing: readonly string[];
  /** The one file that was asked for. */
  readonly file: string | undefined;
};

/** @throws UsageError when there is nothing of a broker; STORAGE_IO */
export function findStore(given: string): StorePlace {
  const path = resolve(given);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw nothing(path, 'does not exist');
  if (!stat.isDirectory()) return placeOfFile(path);
  if (existsSync(join(path, META_NAME))) return placeOfStore(path);
  if (new ReadOnlyStorage(path).list().some(isShardFile)) return placeOfShard(path, undefined);
  throw nothing(path, 'has no meta.json and no files of a log');
}

function placeOfStore(path: string): StorePlace {
  const meta = readMeta(path);
  const names = Array.from({ length: meta?.shards ?? 0 }, (_, shard) => `shard-${shard}`);
  const [present, missing] = [
    names.filter((name) => existsSync(join(path, name))),
    names.filter((name) => !existsSync(join(path, name))),
  ];
  const shards = present.map((name) => shardPlace(join(path, name), meta));
  return { path, meta, holderPid: readHolder(path), shards, missing, file: undefined };
}

function placeOfShard(path: string, file: string | undefined): StorePlace {
  const parent = dirname(path);
  const meta = existsSync(join(parent, META_NAME)) ? readMeta(parent) : undefined;
  const shards = [shardPlace(path, meta)];
  return { path, meta, holderPid: readHolder(parent), shards, missing: [], file };
}

function placeOfFile(path: string): StorePlace {
  const name = basename(path);
  if (name === META_NAME) return placeOfStore(dirname(path));
  if (isShardFile(name)) return placeOfShard(dirname(path), name);
  throw nothing(path, 'is none of the files of a log');
}

function isShardFile(name: string): boolean {
  return (
    name === CHECKPOINT_NAME ||
    [segmentOfName, segmentOfIndexName, positionOfSnapshotName].some((of) => of(name) !== undefined)
  );
}

function shardPlace(path: string, meta: StoreMeta | undefined): ShardPlace {
  const storage = new ReadOnlyStorage(path);
  const digits = SHARD_DIRECTORY.exec(basename(path))?.[1];
  return {
    shard: digits === undefined ? undefined : Number(digits),
    storage,
    segmentBytes: meta?.segmentBytes ?? largestSegment(storage),
    chunkBytes: meta?.chunkBytes,
  };
}

/** Segments are of one size; a damaged one may be shorter. */
function largestSegment(storage: ReadOnlyStorage): number {
  let largest = 0;
  for (const name of storage.list()) {
    const segment = segmentOfName(name);
    if (segment === undefined) continue;
    const file = storage.open(segmentName(segment), false);
    largest = Math.max(largest, file.size());
    file.close();
  }
  // Without segments there is no log, and the size does not matter.
  return largest === 0 ? 1 : largest;
}

/** Undefined when it is damaged: then the files themselves say enough. */
function readMeta(path: string): StoreMeta | undefined {
  const meta = readJson(join(path, META_NAME));
  const numbers = ['format', 'shards', 'segmentBytes', 'chunkBytes'].map((name) => meta?.[name]);
  const isWhole = numbers.every((value) => Number.isSafeInteger(value) && (value as number) > 0);
  return isWhole ? (meta as StoreMeta) : undefined;
}

function readHolder(path: string): number | undefined {
  const pid = readJson(join(path, LOCK_NAME))?.['pid'];
  return typeof pid === 'number' ? pid : undefined;
}

function readJson(path: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function nothing(path: string, why: string): UsageError {
  return new UsageError(
    `${path} ${why}`,
    'Give the data directory of a broker (by default ./sluice-data), one of its shard-N directories, or a file in it.',
  );
}
