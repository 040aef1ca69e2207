/**
 * Both ends of each way of handing messages to another thread, behind one form, so that `ring.ts` and its worker drive
 * them alike: our ring, `ringbuf.js` framed by hand with a 4-byte length, and `postMessage`.
 */
import { RingBuffer } from 'ringbuf.js';
import { RingConsumer } from '../../src/ring/ring-consumer.ts';
import { RING_DATA, ringBytes } from '../../src/ring/ring-layout.ts';
import { RING_FULL, RingProducer } from '../../src/ring/ring-producer.ts';

export type Way = 'ring' | 'ringbuf.js' | 'postMessage';

/** Words that both threads look at: the pass asked for, the pass done, the digest of what came. */
export const CONTROL_PASS = 0;
export const CONTROL_DONE = 1;
export const CONTROL_DIGEST = 2;
export const CONTROL_WORDS = 3;

const LENGTH_BYTES = 4;
const RECORD_TYPE = 1;
/** Tries before a waiting thread gives its core away for a moment. */
const SPINS = 2000;
const NAP_MS = 0.05;

/** What the worker needs to build its end. */
export type PeerData = {
  readonly way: Way;
  readonly memory: SharedArrayBuffer;
  readonly capacityBytes: number;
  readonly control: SharedArrayBuffer;
  readonly messageBytes: number;
  /** Messages of one pass. */
  readonly messages: number;
};

/** @param capacityBytes - of data, for both rings */
export function ringMemory(way: Way, capacityBytes: number): SharedArrayBuffer {
  if (way === 'ring') return new SharedArrayBuffer(ringBytes(capacityBytes));
  return RingBuffer.getStorageForCapacity(capacityBytes, Uint8Array) as SharedArrayBuffer;
}

/** Waits a little, then longer: both ends may have to share one core. */
export class Backoff {
  private spins = 0;
  private readonly napWord = new Int32Array(new SharedArrayBuffer(4));

  pause(): void {
    this.spins += 1;
    if (this.spins > SPINS) Atomics.wait(this.napWord, 0, 0, NAP_MS);
  }

  reset(): void {
    this.spins = 0;
  }
}

/** The sender: `send` until it says false, `flush` makes what was sent visible. */
export interface Sender {
  send(message: Uint8Array): boolean;
  flush(): void;
}

export function ringSender(data: PeerData): Sender {
  const producer = new RingProducer(data.memory, 0, data.capacityBytes);
  return {
    send: (message) => {
      const at = producer.claim(RECORD_TYPE, message.length);
      if (at === RING_FULL) return false;
      producer.bytes.set(message, at);
      return true;
    },
    flush: () => {
      producer.publish();
    },
  };
}

/** Frames are gathered up to `gather` messages, because every `push` publishes. */
export function ringbufSender(data: PeerData, gather: number): Sender {
  const ring = new RingBuffer(data.memory, Uint8Array as never);
  const frame = LENGTH_BYTES + data.messageBytes;
  const staged = new Uint8Array(frame * gather);
  const view = new DataView(staged.buffer);
  let bytes = 0;
  const push = (): boolean => {
    // A push that does not fit would be cut in the middle of a message.
    if (bytes > 0 && ring.available_write() < bytes) return false;
    if (bytes > 0) ring.push(staged, bytes);
    bytes = 0;
    return true;
  };
  return {
    send: (message) => {
      if (bytes === staged.length && !push()) return false;
      view.setUint32(bytes, message.length, true);
      staged.set(message, bytes + LENGTH_BYTES);
      bytes += frame;
      return true;
    },
    flush: () => {
      const backoff = new Backoff();
      while (!push()) backoff.pause();
    },
  };
}

/** A running checksum over the first word of each message and its length: the same for every way. */
export function mixDigest(digest: number, word: number, length: number): number {
  return Math.imul(digest ^ word ^ (length << 20), 16_777_619);
}

/** The receiver: one pass of `messages` messages. @returns their digest */
export type Receiver = () => number;

export function ringReceiver(data: PeerData): Receiver {
  const consumer = new RingConsumer(data.memory, 0, data.capacityBytes);
  const backoff = new Backoff();
  let digest = 0;
  const handler = (_type: number, at: number, length: number): boolean => {
    digest = mixDigest(digest, consumer.view.getUint32(at, true), length);
    return true;
  };
  return () => {
    digest = 0;
    for (let left = data.messages; left > 0; ) {
      const handled = consumer.read(handler, Math.min(left, 256));
      left -= handled;
      if (handled === 0) backoff.pause();
      else backoff.reset();
    }
    return digest;
  };
}

export function ringbufReceiver(data: PeerData): Receiver {
  const ring = new RingBuffer(data.memory, Uint8Array as never);
  const lengthBytes = new Uint8Array(LENGTH_BYTES);
  const lengthView = new DataView(lengthBytes.buffer);
  const message = new Uint8Array(data.messageBytes);
  const view = new DataView(message.buffer);
  const backoff = new Backoff();
  return () => {
    let digest = 0;
    for (let left = data.messages; left > 0; ) {
      if (ring.available_read() < LENGTH_BYTES) {
        backoff.pause();
        continue;
      }
      backoff.reset();
      ring.pop(lengthBytes, LENGTH_BYTES);
      const length = lengthView.getUint32(0, true);
      ring.pop(message, length);
      digest = mixDigest(digest, view.getUint32(0, true), length);
      left -= 1;
    }
    return digest;
  };
}

if (RING_DATA < LENGTH_BYTES) throw new Error('ring-peer: layout');
