/** Options that are numbers, durations and starting points, read and refused in the words of the command line. */
import { InvalidArgumentError } from 'commander';
import type { SeekTo, StartFrom } from '../protocol/web/messages.ts';

/** A parser for whole numbers in a range. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Allowed: ${min} to ${max}.`);
  };
}

/** `earliest`, `latest`, milliseconds since 1970, or ISO 8601. */
export function startingPoint(text: string): StartFrom {
  if (text === 'earliest' || text === 'latest') return text;
  if (/^\d+$/.test(text)) return Number(text);
  if (!Number.isNaN(Date.parse(text))) return text;
  throw new InvalidArgumentError(
    'Allowed: earliest, latest, milliseconds since 1970, or a time such as 2026-01-31T12:00:00Z.',
  );
}

/** A parser for one of a few words. */
export function oneOf(words: readonly string[]): (text: string) => string {
  return (text) => {
    if (words.includes(text)) return text;
    throw new InvalidArgumentError(`Allowed: ${words.join(', ')}.`);
  };
}

/** A starting point, or an offset by queue: `0=17,3=20`. */
export function seekTarget(text: string): SeekTo {
  if (!text.includes('=')) return startingPoint(text);
  const offsets: Record<string, number> = {};
  for (const part of text.split(',')) {
    const [, queueId, offset] = /^\s*(\d{1,5})=(\d{1,15})\s*$/.exec(part) ?? [];
    if (queueId === undefined || offset === undefined)
      throw new InvalidArgumentError('Allowed: offsets by queue are written 0=17,3=20.');
    offsets[queueId] = Number(offset);
  }
  return offsets;
}
