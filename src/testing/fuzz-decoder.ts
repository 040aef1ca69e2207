/**
 * One fuzzer for all decoders of the table: bends samples, makes checksums right again now and then, and looks at what comes
 * of it. It must be able to find what it looks for: `test/fuzz/canary.test.ts` gives it decoders with planted faults.
 */
import type { Prng } from '../base/prng.ts';
import { KIB } from '../base/units.ts';
import { type Decoder, faultOfRefusal, type Refusal } from './decoders.ts';

/** What was found, with the input that shows it. */
export type Finding = {
  readonly round: number;
  readonly fault: string;
  readonly input: Uint8Array;
  readonly cause?: unknown;
};

const ALLOCATES_BYTES: number = 256 * KIB;
/** Numbers that lengths, counts and offsets are most often wrong about. */
const HOSTILE_NUMBERS: readonly number[] = [
  0, 1, 7, 8, 255, 256, 0x7fff, 0xffff, 0x1f_ffff, 0x20_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
];
const CHANGES_MAX = 4;
const INSERTED_BYTES_MAX = 40;
const REPEATS_MAX = 200;
const SHOWN_BYTES_MAX = 400;

/**
 * Runs a decoder on damaged samples.
 *
 * @returns the first fault; undefined when there is none
 */
export function fuzzDecoder(decoder: Decoder, prng: Prng, rounds: number): Finding | undefined {
  for (let round = 0; round < rounds; round += 1) {
    const input = damagedSample(decoder, prng);
    if (decoder.reseal !== undefined && prng.chance(0.6)) decoder.reseal(input);
    const finding = checkInput(decoder, input);
    if (finding !== undefined) return { round, ...finding };
  }
  return undefined;
}

/** One input: a refusal with words, or accepted; nothing thrown, little allocated. */
export function checkInput(
  decoder: Decoder,
  input: Uint8Array,
): Omit<Finding, 'round'> | undefined {
  const before = process.memoryUsage().arrayBuffers;
  let refusal: Refusal | undefined;
  try {
    refusal = decoder.decode(input.slice());
  } catch (cause) {
    return { fault: `it throws ${String(cause)}`, input, cause };
  }
  const allocated = process.memoryUsage().arrayBuffers - before;
  const allowed = (decoder.allocatesBytes ?? ALLOCATES_BYTES) + 16 * input.length;
  if (allocated > allowed) return { fault: `it allocates ${allocated} bytes`, input };
  const fault = refusal === undefined ? undefined : faultOfRefusal(refusal);
  return fault === undefined ? undefined : { fault: `its refusal: ${fault}`, input };
}

/** For the message of a failed test. */
export function findingText(name: string, finding: Finding): string {
  const { round, fault, input } = finding;
  const hex = Buffer.from(input.subarray(0, SHOWN_BYTES_MAX)).toString('hex');
  return `${name}, round ${round}: ${fault}\ninput of ${input.length} bytes: ${hex}`;
}

function pick<T>(prng: Prng, choices: readonly T[]): T {
  const choice = choices[prng.integer(choices.length)];
  if (choice === undefined) throw new Error('nothing to choose from');
  return choice;
}

function damagedSample(decoder: Decoder, prng: Prng): Uint8Array {
  if (prng.chance(0.05)) return randomBytes(prng, prng.integer(120));
  let bytes: Uint8Array = pick(prng, decoder.samples).slice();
  for (let change = prng.integer(CHANGES_MAX); change >= 0; change -= 1)
    bytes = changed(decoder, bytes, prng);
  return bytes;
}

function changed(decoder: Decoder, bytes: Uint8Array, prng: Prng): Uint8Array {
  const at = prng.integer(bytes.length + 1);
  switch (prng.integer(7)) {
    case 0: {
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << prng.integer(8));
      return bytes;
    }
    case 1: {
      if (at + 4 <= bytes.length)
        new DataView(bytes.buffer).setUint32(at, pick(prng, HOSTILE_NUMBERS), true);
      return bytes;
    }
    case 2:
      return bytes.slice(0, at);
    case 3:
      return joined(
        bytes.subarray(0, at),
        randomBytes(prng, prng.integer(INSERTED_BYTES_MAX)),
        bytes.subarray(at),
      );
    case 4: {
      const other = pick(prng, decoder.samples);
      return joined(bytes.subarray(0, at), other.subarray(prng.integer(other.length + 1)));
    }
    case 5: {
      const end = Math.min(bytes.length, at + prng.integer(INSERTED_BYTES_MAX));
      return joined(bytes.subarray(0, at), bytes.subarray(end));
    }
    default: {
      const piece = wordBytes(decoder, prng);
      const repeats = prng.chance(0.1) ? prng.integer(REPEATS_MAX) : 1;
      const pieces = Array.from({ length: repeats }, () => piece);
      return joined(bytes.subarray(0, at), ...pieces, bytes.subarray(at));
    }
  }
}

function wordBytes(decoder: Decoder, prng: Prng): Uint8Array {
  if (decoder.words !== undefined) return new TextEncoder().encode(pick(prng, decoder.words));
  return randomBytes(prng, 1);
}

function randomBytes(prng: Prng, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => prng.integer(256));
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
