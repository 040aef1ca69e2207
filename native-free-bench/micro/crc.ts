/** CRC-32: plain JavaScript against Node's native one, and the choice between them by size. An operation is one checksum. */

import { crc32 as native } from 'node:zlib';
import { crc32 as portable } from '../../src/base/crc32.ts';
import { crc32 as chosen } from '../../src/base/crc32-native.ts';
import { seededPrng } from '../../src/base/prng.ts';
import {
  bySize,
  type Case,
  digestOf,
  keep,
  type MicroBenchmark,
  measureCases,
  type Plan,
} from '../harness.ts';

const SIZES_SMALL: readonly number[] = [64, 1024];
const SIZES_FULL: readonly number[] = [64, 128, 192, 256, 1024, 4096, 16_384, 65_536, 1_048_576];
/** Bytes of one timed call, so that each lasts some microseconds. */
const CALL_BYTES = 16_384;

export const crc: MicroBenchmark = {
  name: 'crc',
  about: 'portable, native and chosen CRC-32 by size',
  run: (plan) =>
    measureCases(
      'crc',
      plan,
      bySize(plan, SIZES_SMALL, SIZES_FULL).flatMap((bytes) => casesOf(plan, bytes)),
    ),
};

function casesOf(plan: Plan, bytes: number): readonly Case[] {
  const prng = seededPrng(plan.seed);
  const data = Uint8Array.from({ length: bytes }, () => prng.integer(256));
  const operations = Math.max(1, Math.floor(CALL_BYTES / bytes));
  const functions = {
    portable: () => portable(data, 0, bytes),
    native: () => native(data),
    chosen: () => chosen(data, 0, bytes),
  };
  return Object.entries(functions).map(([name, checksum]) => ({
    name,
    parameters: { bytes },
    operation: 'checksums',
    operations,
    bytes: operations * bytes,
    call: () => {
      for (let index = 0; index < operations; index += 1) keep(checksum());
    },
    digest: () => digestOf(checksum()),
  }));
}
