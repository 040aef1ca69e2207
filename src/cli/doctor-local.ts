/** What `sluice doctor` finds on this machine: Node, the fast transport, and the disk under a data directory. */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  openSync,
  readFileSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { KIB } from '../base/units.ts';
import { type Finding, finding } from './doctor-check.ts';
import { sizeText } from './output.ts';
import { findStore } from './store-place.ts';

/** package.json asks for this. */
const NODE_MAJOR_MIN = 20;
const NODE_MINOR_MIN = 19;
const FAST_TRANSPORT = 'uWebSockets.js';
/** Used shares of a volume at which the broker acts by default: removes early, refuses sends. @source docs/CONFIG.md */
const SOFT_RATIO = 0.85;
const HARD_RATIO = 0.95;
const SYNC_COUNT = 20;
const SYNC_BYTES: number = 4 * KIB;
/** Milliseconds of a sync above which SYNC_FLUSH is noticed by people. */
const SYNC_MS_SLOW = 20;

export function checkNode(version: string = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isNew = major > NODE_MAJOR_MIN || (major === NODE_MAJOR_MIN && minor >= NODE_MINOR_MIN);
  if (isNew) return finding('node', 'ok', `Node ${version}`);
  return finding(
    'node',
    'fail',
    `Node ${version}; ${NODE_MAJOR_MIN}.${NODE_MINOR_MIN} or newer is needed`,
    'Install a newer Node.',
  );
}

export async function checkFastTransport(): Promise<Finding> {
  try {
    await import(FAST_TRANSPORT as string);
    return finding('uws', 'ok', `${FAST_TRANSPORT} loads: brokers on this machine use it`);
  } catch (error) {
    const why = (error as Error).message.split('\n', 1)[0] ?? '';
    return finding(
      'uws',
      'warn',
      `${FAST_TRANSPORT} does not load, brokers here use ws: ${why}`,
      `For about twice the throughput: npm install ${FAST_TRANSPORT}@npm:uwebsockets@3.0.6`,
    );
  }
}

/** @throws UsageError when there is no store and none could be */
export function checkData(directory: string): Finding[] {
  const path = resolve(directory);
  if (!existsSync(path))
    return [
      finding(
        'data',
        'warn',
        `${path} does not exist yet`,
        'The first "sluice up" there makes it.',
      ),
    ];
  return [checkStore(path), checkSpace(path), checkSync(path)];
}

function checkStore(path: string): Finding {
  if (!existsSync(join(path, 'meta.json')))
    return finding(
      'data',
      'warn',
      `${path} holds no store yet`,
      'The first "sluice up" there makes one.',
    );
  const { meta, missing } = findStore(path);
  if (meta === undefined)
    return finding(
      'data',
      'fail',
      `${path}/meta.json is damaged: ${readFileSync(join(path, 'meta.json'), 'utf8').slice(0, 80)}`,
      'Restore it from a backup: {"format":1,"shards":…,"segmentBytes":…,"chunkBytes":…} as the store was made.',
    );
  if (missing.length > 0)
    return finding(
      'data',
      'fail',
      `${missing.join(', ')} is missing in ${path}`,
      'Restore it from a backup; a broker that starts now begins an empty log in its place.',
    );
  return finding(
    'data',
    'ok',
    `${path}, format ${meta.format}, ${meta.shards} shards, segments of ${sizeText(meta.segmentBytes)}`,
  );
}

function checkSpace(path: string): Finding {
  const { bsize, blocks, bfree, bavail } = statfsSync(path);
  const total = (blocks - bfree + bavail) * bsize;
  const free = bavail * bsize;
  const ratio = total === 0 ? 0 : 1 - free / total;
  const text = `${sizeText(free)} free, ${(ratio * 100).toFixed(1)} % in use`;
  if (ratio >= HARD_RATIO)
    return finding(
      'disk',
      'fail',
      `${text}: sends are refused above ${HARD_RATIO * 100} %`,
      'Free space, shorten retention, or move the data directory.',
    );
  if (ratio >= SOFT_RATIO)
    return finding(
      'disk',
      'warn',
      `${text}: old segments go early above ${SOFT_RATIO * 100} %`,
      'Free space, or shorten retention.',
    );
  return finding('disk', 'ok', text);
}

/** How long this disk takes to make 4 KiB durable: the ground of every acknowledgement under SYNC_FLUSH. */
function checkSync(path: string): Finding {
  const file = join(path, `.doctor-${process.pid}.tmp`);
  const times: number[] = [];
  try {
    const descriptor = openSync(file, 'wx', 0o600);
    try {
      const bytes = new Uint8Array(SYNC_BYTES);
      for (let round = 0; round < SYNC_COUNT; round += 1) {
        const startMs = systemClock.monotonicMs();
        writeSync(descriptor, bytes, 0, bytes.length, round * SYNC_BYTES);
        fdatasyncSync(descriptor);
        times.push(systemClock.monotonicMs() - startMs);
      }
    } finally {
      closeSync(descriptor);
      unlinkSync(file);
    }
  } catch (error) {
    return finding(
      'sync',
      'fail',
      `no file can be written in ${path}: ${(error as Error).message}`,
      'The user that runs the broker needs read and write rights there.',
    );
  }
  times.sort((left, right) => left - right);
  const middle = times[times.length >> 1] ?? 0;
  const worst = times.at(-1) ?? 0;
  const text = `${SYNC_COUNT} syncs of ${sizeText(SYNC_BYTES)}: median ${middle.toFixed(2)} ms, worst ${worst.toFixed(2)} ms`;
  if (middle < SYNC_MS_SLOW) return finding('sync', 'ok', text, null, middle);
  return finding(
    'sync',
    'warn',
    text,
    'A slow disk: acknowledgements wait for it. Use another disk, or flushDiskType ASYNC_FLUSH where a power cut may cost messages.',
    middle,
  );
}
