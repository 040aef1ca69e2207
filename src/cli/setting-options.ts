/** Options that are written as settings are: sizes and durations with units. Apart, because checking them loads more. */
import { InvalidArgumentError } from 'commander';
import { ATTEMPTS_MAX, RETRY_BACKOFF_MS_MAX } from '../base/limits.ts';
import { bytes, durationMs, type Kind, list } from '../config/setting-kinds.ts';

/** A parser for what a kind of setting takes. */
function parserOf<Value>(kind: Kind<Value>): (text: string) => Value {
  return (text) => {
    const checked = kind.schema.safeParse(text);
    if (checked.success) return checked.data;
    throw new InvalidArgumentError(`Allowed: ${kind.allowed}.`);
  };
}

const YEARS_100_MS = 100 * 365 * 86_400_000;
const TIB_1024_BYTES = 2 ** 50;

export const byteCount: (text: string) => number = parserOf(bytes(1, TIB_1024_BYTES));
export const milliseconds: (text: string) => number = parserOf(durationMs(1, YEARS_100_MS));
export const millisecondsList: (text: string) => readonly number[] = parserOf(
  list(durationMs(0, RETRY_BACKOFF_MS_MAX), 1, ATTEMPTS_MAX),
);
