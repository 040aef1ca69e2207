/** Every micro benchmark, in the order in which a message meets what they measure. */
import type { MicroBenchmark } from '../harness.ts';
import { batchCodec } from './batch-codec.ts';
import { consumeQueue } from './consume-queue.ts';
import { crc } from './crc.ts';
import { dialectCodecs } from './dialect-codecs.ts';
import { findMessages } from './find-messages.ts';
import { logAppend } from './log-append.ts';
import { ring } from './ring.ts';

export const MICRO_BENCHMARKS: readonly MicroBenchmark[] = [
  dialectCodecs,
  batchCodec,
  crc,
  ring,
  logAppend,
  consumeQueue,
  findMessages,
];
