/**
 * Kinds of settings: how a value is written, what is allowed, and the zod schema that turns what was written (text of
 * a flag, a number of a YAML file) into the value the broker works with. Control path, at start only.
 */
import { z } from 'zod';
import { isPowerOfTwo, KIB, MIB } from '../base/units.ts';

/** How a value is written and checked. */
export type Kind<Value> = {
  /** Unit of the value; empty when it has none. */
  readonly unit: string;
  /** What may be written, for errors and documents. */
  readonly allowed: string;
  readonly schema: z.ZodType<Value>;
  /** The value as one would write it. */
  readonly format: (value: Value) => string;
};

const MILLISECONDS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const BYTES: Readonly<Record<string, number>> = {
  b: 1,
  k: KIB,
  kib: KIB,
  m: MIB,
  mib: MIB,
  g: KIB * MIB,
  gib: KIB * MIB,
};
const QUANTITY = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i;

/** Text like `64MiB` or `500ms` as a number of the smallest unit; anything else is left for the schema to refuse. */
function quantity(value: unknown, factors: Readonly<Record<string, number>>): unknown {
  if (typeof value !== 'string') return value;
  const [, digits = '', unit = ''] = QUANTITY.exec(value.trim()) ?? [];
  if (digits === '') return value;
  const name = unit.toLowerCase();
  if (name === '') return Number(digits);
  return Object.hasOwn(factors, name) ? Number(digits) * (factors[name] ?? 0) : value;
}

function numberOf(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  return /^-?\d+(\.\d+)?$/.test(value.trim()) ? Number(value.trim()) : value;
}

function booleanOf(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const text = value.trim().toLowerCase();
  return text === 'true' ? true : text === 'false' ? false : value;
}

/** Lists are written as lists in files that have them, else with commas or blanks between. */
function listOf(value: unknown): unknown {
  if (typeof value !== 'string') return Array.isArray(value) ? value : [value];
  return value.split(/[\s,]+/).filter((part) => part !== '');
}

/** `67108864` → `64MiB`, `500` → `500ms`: the largest unit that leaves a whole number. */
function formatQuantity(value: number, units: readonly (readonly [string, number])[]): string {
  const [name, factor] = units.find(([, size]) => value >= size && value % size === 0) ?? ['', 1];
  return `${value / factor}${name}`;
}

export function formatBytes(value: number): string {
  const units = [['GiB', KIB * MIB] as const, ['MiB', MIB] as const, ['KiB', KIB] as const];
  return formatQuantity(value, units);
}

export function formatDuration(valueMs: number): string {
  const units = Object.entries(MILLISECONDS).sort(([, a], [, b]) => b - a);
  return formatQuantity(valueMs, units);
}

export function integer(unit: string, min: number, max: number): Kind<number> {
  return {
    unit,
    allowed: `an integer from ${min} to ${max}`,
    schema: z.preprocess(numberOf, z.number().int().min(min).max(max)),
    format: String,
  };
}

export function ratio(min: number, max: number): Kind<number> {
  return {
    unit: 'ratio',
    allowed: `a number from ${min} to ${max}`,
    schema: z.preprocess(numberOf, z.number().min(min).max(max)),
    format: String,
  };
}

export function bytes(min: number, max: number): Kind<number> {
  return {
    unit: 'bytes',
    allowed: `a size from ${formatBytes(min)} to ${formatBytes(max)}; 65536, 64k and 64KiB are the same`,
    schema: z.preprocess((value) => quantity(value, BYTES), z.number().int().min(min).max(max)),
    format: formatBytes,
  };
}

export function bytesPowerOfTwo(min: number, max: number): Kind<number> {
  const size = bytes(min, max);
  return {
    ...size,
    allowed: size.allowed.replace('a size', 'a power of two'),
    schema: size.schema.refine((value) => isPowerOfTwo(value)),
  };
}

export function durationMs(min: number, max: number): Kind<number> {
  return {
    unit: 'ms',
    allowed: `a duration from ${formatDuration(min)} to ${formatDuration(max)}; 30000, 30s and 0.5m are the same`,
    schema: z.preprocess(
      (value) => quantity(value, MILLISECONDS),
      z.number().int().min(min).max(max),
    ),
    format: formatDuration,
  };
}

export function durationHours(min: number, max: number): Kind<number> {
  return {
    unit: 'hours',
    allowed: `whole hours from ${min} to ${max}; 72, 72h and 3d are the same`,
    schema: z.preprocess(
      (value) => quantity(value, { h: 1, d: 24 }),
      z.number().int().min(min).max(max),
    ),
    format: String,
  };
}

/** Several of a kind; in text they stand with commas or blanks between. */
export function list<Value>(
  kind: Kind<Value>,
  countMin: number,
  countMax: number,
): Kind<readonly Value[]> {
  return {
    unit: kind.unit,
    allowed: `a list of ${countMin} to ${countMax}, each ${kind.allowed}`,
    schema: z.preprocess(listOf, z.array(kind.schema).min(countMin).max(countMax)),
    format: (values) => values.map(kind.format).join(','),
  };
}

export function boolean(): Kind<boolean> {
  return {
    unit: '',
    allowed: 'true or false',
    schema: z.preprocess(booleanOf, z.boolean()),
    format: String,
  };
}

/** One of a few words; `aliases` are other spellings, all compared without regard to case. */
export function choice<const Word extends string>(
  words: readonly Word[],
  aliases: Readonly<Record<string, Word>> = {},
): Kind<Word> {
  const find = (value: unknown): unknown => {
    if (typeof value !== 'string') return value;
    const written = value.trim().toLowerCase();
    const alias = Object.hasOwn(aliases, written) ? aliases[written] : undefined;
    return alias ?? words.find((word) => word.toLowerCase() === written) ?? value;
  };
  return {
    unit: '',
    allowed: [...words, ...Object.keys(aliases)].join(', '),
    schema: z.preprocess(
      find,
      z.custom<Word>((value) => words.some((word) => word === value)),
    ),
    format: String,
  };
}

/** Text that a rule accepts; blanks around it do not count. */
export function text(allowed: string, accepts: (value: string) => boolean): Kind<string> {
  return { unit: '', allowed, schema: z.string().trim().refine(accepts), format: String };
}
