/**
 * Bytes of a ring: one producer, one consumer, records in place. Both indices are 32-bit words that wrap, on lines of
 * their own; `index & mask` is the place in the data.
 *
 *   0        128       256                                   256 + capacity
 *   │ tail   │ head    │ records …  │ padding to the end      │
 *   producer  consumer
 *
 *   record:  0 i32 length with this header (0: not written yet)   4 i32 type (0: padding)   8 payload, padded to 8
 */

export const RING_TAIL = 0;
export const RING_HEAD = 128;
export const RING_DATA = 256;

export const RING_RECORD_LENGTH = 0;
export const RING_RECORD_TYPE = 4;
export const RING_RECORD_HEADER_BYTES = 8;
export const RING_PADDING_TYPE = 0;

/** Bytes of shared memory for a ring of this capacity. */
export function ringBytes(capacityBytes: number): number {
  return RING_DATA + capacityBytes;
}

/** The largest payload: half of the ring, so that it fits an empty ring wherever the indices stand, padding included. */
export function ringPayloadMax(capacityBytes: number): number {
  return capacityBytes / 2 - RING_RECORD_HEADER_BYTES;
}

if (RING_HEAD - RING_TAIL < 128 || RING_DATA - RING_HEAD < 128)
  throw new Error('ring-layout: indices share lines');
