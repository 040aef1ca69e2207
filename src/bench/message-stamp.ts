/**
 * What the load generator writes into the first bytes of every body, so that each message can be told from all others when
 * it is read back: who sent it and which one it is.
 *
 *   0 u32 producer   4 u32 index in its batch   8 u32 number of the batch   12 u32 0   16 filler
 *
 * A message's sequence is the number of its batch times the records of a batch, plus its index.
 */
import type { Prng } from '../base/prng.ts';

export const STAMP_PRODUCER = 0;
export const STAMP_INDEX = 4;
export const STAMP_BATCH = 8;
export const STAMP_RESERVED = 12;
/** Bytes of a stamp: the smallest body. */
export const STAMP_BYTES = 16;

/** Writes a stamp at `at`. */
export function writeStamp(
  view: DataView,
  at: number,
  producer: number,
  index: number,
  batch: number,
): void {
  view.setUint32(at + STAMP_PRODUCER, producer, true);
  view.setUint32(at + STAMP_INDEX, index, true);
  view.setUint32(at + STAMP_BATCH, batch, true);
  view.setUint32(at + STAMP_RESERVED, 0, true);
}

/** A body of `bytes` bytes: room for the stamp, and filler that does not compress. */
export function newBody(bytes: number, prng: Prng): Uint8Array {
  const body = new Uint8Array(bytes);
  for (let at = STAMP_BYTES; at < bytes; at += 1) body[at] = prng.integer(256);
  return body;
}
