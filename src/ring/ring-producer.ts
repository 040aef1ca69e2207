/**
 * The producing end of a ring: claim space, write the payload in place, publish. Never blocks, never overwrites, never
 * drops: a full ring is a status. One thread owns it; a claim is visible to nobody before `publish`.
 *
 * @source Agrona OneToOneRingBuffer: cached head, padding at the end, one ordered store per publish
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
  ringPayloadMax,
} from './ring-layout.ts';

/** `claim` found no space. */
export const RING_FULL = -1;

export class RingProducer {
  /** The records' memory: write payloads here, at what `claim` returned. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly capacityBytes: number;
  /** Bytes of the largest record. */
  readonly payloadMax: number;
  private readonly tailWord: Int32Array;
  private readonly headWord: Int32Array;
  private readonly mask: number;
  /** Claimed up to here; the consumer sees up to the published tail. */
  private tail: number;
  private published: number;
  private cachedHead: number;
  private beforeClaim: number;

  constructor(memory: SharedArrayBuffer, byteOffset: number, capacityBytes: number) {
    invariant(isPowerOfTwo(capacityBytes), 'ring capacity is a power of two', capacityBytes);
    this.capacityBytes = capacityBytes;
    this.payloadMax = ringPayloadMax(capacityBytes);
    this.mask = capacityBytes - 1;
    this.tailWord = new Int32Array(memory, byteOffset + RING_TAIL, 1);
    this.headWord = new Int32Array(memory, byteOffset + RING_HEAD, 1);
    this.bytes = new Uint8Array(memory, byteOffset + RING_DATA, capacityBytes);
    this.view = new DataView(memory, byteOffset + RING_DATA, capacityBytes);
    this.tail = Atomics.load(this.tailWord, 0);
    this.published = this.tail;
    this.beforeClaim = this.tail;
    this.cachedHead = Atomics.load(this.headWord, 0);
  }

  /**
   * Reserves a record.
   *
   * @param type - 1 to 2^31 - 1
   * @param payloadBytes - at most `ringPayloadMax`
   * @returns byte offset of the payload in `bytes`, a multiple of 8; RING_FULL when there is no space now
   */
  claim(type: number, payloadBytes: number): number {
    invariant(type > RING_PADDING_TYPE, 'a ring record has a type', type);
    invariant(
      payloadBytes <= this.payloadMax,
      'a ring record fits half of the ring',
      payloadBytes,
      this.payloadMax,
    );
    const needed = alignUp(RING_RECORD_HEADER_BYTES + payloadBytes, 8);
    let place = this.tail & this.mask;
    const toEnd = this.capacityBytes - place;
    const padding = needed > toEnd ? toEnd : 0;
    if (!this.hasSpace(padding + needed)) return RING_FULL;
    this.beforeClaim = this.tail;
    if (padding > 0) {
      this.writeHeader(place, padding, RING_PADDING_TYPE);
      this.tail = (this.tail + padding) | 0;
      place = 0;
    }
    this.writeHeader(place, RING_RECORD_HEADER_BYTES + payloadBytes, type);
    this.tail = (this.tail + needed) | 0;
    return place + RING_RECORD_HEADER_BYTES;
  }

  /** Gives up the last claim, which must not have been published. */
  abort(): void {
    this.tail = this.beforeClaim;
  }

  /** Makes all claims visible. Publishes: record bytes before the tail. @returns true when there was something new */
  publish(): boolean {
    if (this.tail === this.published) return false;
    Atomics.store(this.tailWord, 0, this.tail);
    this.published = this.tail;
    return true;
  }

  /** Bytes in use, claims included; the head is read anew. */
  usedBytes(): number {
    this.cachedHead = Atomics.load(this.headWord, 0);
    return (this.tail - this.cachedHead) | 0;
  }

  /** A running number of the bytes ever claimed, wrapping at 32 bits: compare with `consumedPast`. */
  get sequence(): number {
    return this.tail;
  }

  /** Has the consumer released everything claimed before `sequence` was taken? */
  consumedPast(sequence: number): boolean {
    if (((this.cachedHead - sequence) | 0) >= 0) return true;
    this.cachedHead = Atomics.load(this.headWord, 0);
    return ((this.cachedHead - sequence) | 0) >= 0;
  }

  private hasSpace(bytes: number): boolean {
    if (((this.tail - this.cachedHead) | 0) + bytes <= this.capacityBytes) return true;
    // Observes: the consumer is done with these bytes before they are written again.
    this.cachedHead = Atomics.load(this.headWord, 0);
    const used = (this.tail - this.cachedHead) | 0;
    invariant(
      used >= 0 && used <= this.capacityBytes,
      'ring indices stay within the capacity',
      used,
    );
    return used + bytes <= this.capacityBytes;
  }

  private writeHeader(place: number, length: number, type: number): void {
    this.view.setInt32(place + RING_RECORD_LENGTH, length, true);
    this.view.setInt32(place + RING_RECORD_TYPE, type, true);
  }
}
