/**
 * What the machine could do at most, measured in the same run: the same bytes to the same disk with plain calls, and the
 * same frames to the same transport with nothing behind it. Blocks while it measures the disk.
 */
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Clock, sleep } from '../base/clock.ts';
import type { SluiceError } from '../base/errors.ts';
import { alignUp, MIB } from '../base/units.ts';
import type { Load } from './load.ts';
import { ServerProcess } from './server-process.ts';
import { clientFrame, OPCODE_TEXT } from './ws-frames.ts';
import { WsSocket } from './ws-socket.ts';

/** Bytes a second; undefined where it could not be measured. */
export type MachineLimits = {
  readonly disk: number | undefined;
  readonly loopback: number | undefined;
};

/** The file is written over and over: some groups long, and no longer than a segment. */
const FILE_BYTES_MAX: number = 64 * MIB;
const FILE_GROUPS = 4;
const FILE_NAME = 'bench-limit.tmp';
const MS_PER_SECOND = 1000;
const PREALLOCATE_BYTES = MIB;
const READ_BYTES = MIB;
/** The broker's log belongs to nobody else; neither does this. */
const FILE_MODE = 0o600;

export type DiskLimitOptions = {
  /** Directory of the broker's files. */
  readonly directory: string;
  /** Bytes of one write: the group that one barrier makes durable. */
  readonly groupBytes: number;
  /** Milliseconds between two barriers; 0: after every group. */
  readonly syncIntervalMs: number;
  readonly seconds: number;
  readonly clock: Clock;
};

/** Writes groups to a preallocated file of the directory, and syncs as the broker would. @returns bytes a second */
export function measureDisk(options: DiskLimitOptions): number {
  const { directory, clock, seconds, syncIntervalMs } = options;
  const groupBytes = Math.min(options.groupBytes, FILE_BYTES_MAX);
  const fileBytes = Math.min(FILE_BYTES_MAX, alignUp(groupBytes * FILE_GROUPS, MIB));
  return withFile(directory, fileBytes, (file) => {
    const group = new Uint8Array(groupBytes).fill(0x5a);
    const startMs = clock.monotonicMs();
    const endMs = startMs + seconds * MS_PER_SECOND;
    let syncedMs = startMs;
    let bytes = 0;
    for (let at = 0; clock.monotonicMs() < endMs; at += groupBytes) {
      if (at + groupBytes > fileBytes) at = 0;
      writeSync(file, group, 0, groupBytes, at);
      bytes += groupBytes;
      if (clock.monotonicMs() - syncedMs < syncIntervalMs) continue;
      fdatasyncSync(file);
      syncedMs = clock.monotonicMs();
    }
    fdatasyncSync(file);
    return (bytes / (clock.monotonicMs() - startMs)) * MS_PER_SECOND;
  });
}

/** Reads a file of the directory from end to end, again and again: what a consumer of old messages can get at most. */
export function measureDiskRead(
  options: Pick<DiskLimitOptions, 'directory' | 'seconds' | 'clock'>,
): number {
  const { directory, clock, seconds } = options;
  return withFile(directory, FILE_BYTES_MAX, (file) => {
    const piece = new Uint8Array(READ_BYTES);
    const startMs = clock.monotonicMs();
    const endMs = startMs + seconds * MS_PER_SECOND;
    let bytes = 0;
    for (let at = 0; clock.monotonicMs() < endMs; at = (at + READ_BYTES) % FILE_BYTES_MAX)
      bytes += readSync(file, piece, 0, READ_BYTES, at);
    return (bytes / (clock.monotonicMs() - startMs)) * MS_PER_SECOND;
  });
}

/** A file of zeros, on the disk before it is used, gone afterwards. */
function withFile(directory: string, fileBytes: number, measure: (file: number) => number): number {
  const path = join(directory, FILE_NAME);
  const file = openSync(path, 'w+', FILE_MODE);
  try {
    const zeros = new Uint8Array(PREALLOCATE_BYTES);
    for (let at = 0; at < fileBytes; at += PREALLOCATE_BYTES)
      writeSync(file, zeros, 0, PREALLOCATE_BYTES, at);
    fsyncSync(file);
    return measure(file);
  } finally {
    closeSync(file);
    unlinkSync(path);
  }
}

/** The front door with nothing behind it, in a process of its own. */
export function startEchoServer(transport: string): Promise<ServerProcess> {
  const entry = new URL('./echo-server.js', import.meta.url);
  return ServerProcess.start([entry.pathname, transport]);
}

/** Runs a load against an echo server. @returns bytes a second */
export async function measureLoopback(load: Load, seconds: number, clock: Clock): Promise<number> {
  await load.open();
  try {
    await load.begin();
    // The first moments are the compiler's.
    await sleep((seconds * MS_PER_SECOND) / 4);
    const startMs = clock.monotonicMs();
    const before = await load.measure(true);
    await sleep(seconds * MS_PER_SECOND);
    const after = await load.measure(false);
    const ms = clock.monotonicMs() - startMs;
    await load.stop();
    return ((after.bytes - before.bytes) / ms) * MS_PER_SECOND;
  } finally {
    await load.close();
  }
}

/** Lets an echo server pour frames of this size into so many connections. @returns bytes a second */
export async function measurePour(
  url: string,
  frameBytes: number,
  connections: number,
  seconds: number,
  clock: Clock,
): Promise<number> {
  let bytes = 0;
  let failure: SluiceError | undefined;
  const sockets = await Promise.all(
    Array.from({ length: connections }, () =>
      WsSocket.open(url, {
        frame: (_opcode, _at, length) => {
          bytes += length;
        },
        turn: () => {},
        closed: (error) => {
          failure ??= error;
        },
      }),
    ),
  );
  const request = new TextEncoder().encode(String(frameBytes));
  for (const socket of sockets) socket.write(clientFrame(OPCODE_TEXT, request));
  await sleep((seconds * MS_PER_SECOND) / 4);
  const [startMs, startBytes] = [clock.monotonicMs(), bytes];
  await sleep(seconds * MS_PER_SECOND);
  const rate = ((bytes - startBytes) / (clock.monotonicMs() - startMs)) * MS_PER_SECOND;
  for (const socket of sockets) socket.close();
  if (failure !== undefined) throw failure;
  return rate;
}
