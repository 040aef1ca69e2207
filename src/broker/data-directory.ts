/**
 * The data directory: who uses it, and what shape its logs have. The shape is fixed when the store is made, because
 * positions and queues depend on it; a start that asks for another is refused.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SluiceError } from '../base/errors.ts';
import { FileStorage } from '../log/file-storage.ts';
import { takeLock } from './directory-lock.ts';

/** The only version so far. */
const FORMAT = 1;
const META_NAME = 'meta.json';

/** The shape of a store: part of its files' meaning. */
export type StoreShape = {
  readonly shards: number;
  readonly segmentBytes: number;
  readonly chunkBytes: number;
};

export type DataDirectory = {
  readonly path: string;
  readonly shape: StoreShape;
  shardPath(shard: number): string;
  /** Lets others use the directory. */
  release(): void;
};

/**
 * Takes the directory for this process, creating it when it is new.
 *
 * @param wanted - shape from the configuration; `shards` undefined takes what the store has, or `shardsDefault`
 * @throws INVALID_ARGUMENT when another broker uses it or the shape differs; RECORD_CORRUPT, UNSUPPORTED_VERSION; STORAGE_IO
 */
export function openDataDirectory(
  directory: string,
  wanted: { shards: number | undefined; segmentBytes: number; chunkBytes: number },
  shardsDefault: number,
): DataDirectory {
  const path = resolve(directory);
  try {
    mkdirSync(path, { recursive: true });
  } catch (cause) {
    throw new SluiceError(
      'STORAGE_IO',
      `the data directory ${path} cannot be made: ${String(cause)}`,
      { cause },
    );
  }
  const release = takeLock(path);
  try {
    const shape = existsSync(join(path, META_NAME))
      ? readShape(path, wanted)
      : writeShape(path, { ...wanted, shards: wanted.shards ?? shardsDefault });
    for (let shard = 0; shard < shape.shards; shard += 1)
      mkdirSync(join(path, `shard-${shard}`), { recursive: true });
    return { path, shape, shardPath: (shard) => join(path, `shard-${shard}`), release };
  } catch (error) {
    release();
    throw error;
  }
}

function readShape(
  path: string,
  wanted: { shards: number | undefined; segmentBytes: number; chunkBytes: number },
): StoreShape {
  const meta = readMeta(join(path, META_NAME));
  if (meta.format !== FORMAT) {
    throw new SluiceError(
      'UNSUPPORTED_VERSION',
      `${path} has the format ${meta.format}; this version reads ${FORMAT}`,
      {
        hint: 'Start it with the version that wrote it.',
      },
    );
  }
  const { shards, segmentBytes, chunkBytes } = meta;
  if (
    ![shards, segmentBytes, chunkBytes].every((value) => Number.isSafeInteger(value) && value > 0)
  )
    throw damagedMeta(join(path, META_NAME));
  const differ = (what: string, asked: number, has: number): never => {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${what} ${asked} was asked for, but the store in ${path} was made with ${has}`,
      {
        hint: `Start without this setting or with ${has}; or use another directory.`,
      },
    );
  };
  if (wanted.shards !== undefined && wanted.shards !== meta.shards)
    differ('shards', wanted.shards, meta.shards);
  if (wanted.segmentBytes !== meta.segmentBytes)
    differ('segmentBytes', wanted.segmentBytes, meta.segmentBytes);
  if (wanted.chunkBytes !== meta.chunkBytes)
    differ('tailBytes (or its limit by segmentBytes)', wanted.chunkBytes, meta.chunkBytes);
  return { shards, segmentBytes, chunkBytes };
}

/** @throws RECORD_CORRUPT, STORAGE_IO */
function readMeta(file: string): StoreShape & { readonly format: number } {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new SluiceError('STORAGE_IO', `${file} cannot be read: ${String(cause)}`, { cause });
  }
  let meta: unknown;
  try {
    meta = JSON.parse(text);
  } catch (cause) {
    throw damagedMeta(file, cause);
  }
  const format = (meta as { format?: unknown } | null)?.format;
  if (typeof format !== 'number') throw damagedMeta(file);
  return meta as StoreShape & { format: number };
}

/** It is written once, whole, before the first segment: damaged, it has to come from elsewhere, because guessing cuts logs. */
function damagedMeta(file: string, cause?: unknown): SluiceError {
  return new SluiceError('RECORD_CORRUPT', `${file} does not say what shape the store has`, {
    hint: `Restore it from a backup, or write it anew with the numbers of the store: {"format":${FORMAT},"shards":…,"segmentBytes":…,"chunkBytes":…}. Nothing was changed.`,
    cause,
  });
}

function writeShape(path: string, shape: StoreShape): StoreShape {
  const storage = new FileStorage(path);
  const temporary = `${META_NAME}.tmp`;
  const file = storage.open(temporary, true);
  const { shards, segmentBytes, chunkBytes } = shape;
  file.write(
    new TextEncoder().encode(
      `${JSON.stringify({ format: FORMAT, shards, segmentBytes, chunkBytes })}\n`,
    ),
    0,
  );
  file.sync();
  file.close();
  storage.rename(temporary, META_NAME);
  storage.syncDirectory();
  return { shards, segmentBytes, chunkBytes };
}
