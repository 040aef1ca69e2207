/**
 * Every function of the broker that reads bytes or text from outside, as one table for fuzzers and byte-wise tests: samples
 * that it accepts, and how it is called. A decoder of this table accepts or refuses; it may throw nothing but the refusal,
 * and it checks for itself that what it accepted can be used.
 */
import { SluiceError } from '../base/errors.ts';

export type Decoder = {
  /** Inputs that it accepts. */
  readonly samples: readonly Uint8Array[];
  /**
   * Reads an input.
   *
   * @returns the refusal, in words or as the typed error; undefined when it was accepted
   * @throws anything: then the decoder is wrong
   */
  readonly decode: (bytes: Uint8Array) => Refusal | undefined;
  /** Makes the checksums right again, so that checks behind them are reached. */
  readonly reseal?: (bytes: Uint8Array) => void;
  /** Is an input that was cut short always refused? True for what has a length or a checksum. */
  readonly refusesCuts?: boolean;
  /** Is an input of which a bit was flipped always refused? */
  readonly refusesFlips?: boolean;
  /** Pieces of text that reach further than random bytes do. */
  readonly words?: readonly string[];
  /** Bytes that one call may allocate outside the heap, beside the input's own. */
  readonly allocatesBytes?: number;
  /** Of the usual number of rounds, for those that touch a disk. */
  readonly share?: number;
};

export type Refusal = string | SluiceError;

export type DecoderTable = Readonly<Record<string, Decoder>>;

const encoder = new TextEncoder();
const lossy = new TextDecoder();

export function textSamples(...texts: readonly string[]): readonly Uint8Array[] {
  return texts.map((text) => encoder.encode(text));
}

/** A decoder of text; bytes that are not UTF-8 come as U+FFFD, as from a socket. */
export function textDecoder(
  samples: readonly string[],
  read: (text: string) => unknown,
  options: Partial<Decoder> = {},
): Decoder {
  return {
    ...options,
    samples: textSamples(...samples),
    decode: (bytes) => refusalOf(() => read(lossy.decode(bytes))),
  };
}

/** A decoder of bytes that throws its refusals. */
export function bytesDecoder(
  samples: readonly Uint8Array[],
  read: (bytes: Uint8Array) => unknown,
  options: Partial<Decoder> = {},
): Decoder {
  return { ...options, samples, decode: (bytes) => refusalOf(() => read(bytes)) };
}

/** What `read` refuses with; undefined when it ends well. Anything but a refusal goes on. */
export function refusalOf(read: () => unknown): SluiceError | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
}

/**
 * A refusal must be one that a client can do something with.
 *
 * @returns what is wrong with it; undefined when it is fine
 */
export function faultOfRefusal(refusal: Refusal): string | undefined {
  if (!(refusal instanceof SluiceError)) return refusal === '' ? 'it says nothing' : undefined;
  if (refusal.code === 'INVARIANT') return `it is a failure of ours: ${String(refusal.cause)}`;
  if (refusal.message === '' || refusal.hint === '') return `${refusal.code} without words`;
  return refusal.message.length > REFUSAL_LENGTH_MAX ? 'it shows the whole input' : undefined;
}

/** A refusal quotes a part of what came, never all of it. */
const REFUSAL_LENGTH_MAX = 2000;
