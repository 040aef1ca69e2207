/**
 * The consuming end of a ring: records are handled in place, then released together. Never blocks. One thread owns it.
 */
import { invariant } from '../base/assert.ts';
import { alignUp, isPowerOfTwo } from '../base/units.ts';
import {
  RING_DATA,
  RING_HEAD,
  RING_PADDING_TYPE,
  RING_RECORD_HEADER_BYTES,
  RING_RECORD_LENGTH,
  RING_RECORD_TYPE,
  RING_TAIL,
} from './ring-layout.ts';

/**
 * Handles one record.
 *
 * @param at - byte offset of the payload in `ring.bytes`; the bytes are valid until the call returns
 * @returns false to leave this record and all after it for the next `read`
 */
export type RingHandler = (type: number, at: number, length: number) => boolean;

export class RingConsumer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  private readonly capacityBytes: number;
  private readonly tailWord: Int32Array;
  private readonly headWord: Int32Array;
  private readonly mask: number;
  private head: number;
  private cachedTail: number;

  constructor(memory: SharedArrayBuffer, byteOffset: number, capacityBytes: number) {
    invariant(isPowerOfTwo(capacityBytes), 'ring capacity is a power of two', capacityBytes);
    this.capacityBytes = capacityBytes;
    this.mask = capacityBytes - 1;
    this.tailWord = new Int32Array(memory, byteOffset + RING_TAIL, 1);
    this.headWord = new Int32Array(memory, byteOffset + RING_HEAD, 1);
    this.bytes = new Uint8Array(memory, byteOffset + RING_DATA, capacityBytes);
    this.view = new DataView(memory, byteOffset + RING_DATA, capacityBytes);
    this.head = Atomics.load(this.headWord, 0);
    this.cachedTail = Atomics.load(this.tailWord, 0);
  }

  /**
   * Handles up to `limit` records and releases them. A handler that throws leaves its record unconsumed.
   *
   * @returns records handled
   */
  read(handler: RingHandler, limit: number): number {
    if (this.head === this.cachedTail && this.isEmpty()) return 0;
    let handled = 0;
    try {
      while (handled < limit && (this.head !== this.cachedTail || !this.isEmpty())) {
        const place = this.head & this.mask;
        const length = this.view.getInt32(place + RING_RECORD_LENGTH, true);
        const type = this.view.getInt32(place + RING_RECORD_TYPE, true);
        invariant(length >= RING_RECORD_HEADER_BYTES, 'a ring record has a length', length);
        invariant(
          length <= this.capacityBytes - place,
          'a ring record ends within the ring',
          length,
          place,
        );
        if (type !== RING_PADDING_TYPE) {
          const payloadAt = place + RING_RECORD_HEADER_BYTES;
          if (!handler(type, payloadAt, length - RING_RECORD_HEADER_BYTES)) break;
          handled += 1;
        }
        this.head = (this.head + alignUp(length, 8)) | 0;
      }
    } finally {
      // Publishes: the consumer is done with the bytes before the producer may write them again.
      Atomics.store(this.headWord, 0, this.head);
    }
    return handled;
  }

  /** Nothing to read; looks at the producer's tail. Observes: tail before record bytes. */
  isEmpty(): boolean {
    this.cachedTail = Atomics.load(this.tailWord, 0);
    return this.head === this.cachedTail;
  }
}
