/**
 * What is safe to write into a log, and how a line looks on a terminal: control characters are escaped so that nobody
 * outside can write lines of their own, values are cut, tokens are left out. Pure; control path.
 */
import { SluiceError } from '../base/errors.ts';
import type { LogFact, LogFacts } from '../base/log-sink.ts';

/** Characters of one value; what comes from outside may be as long as a frame. */
const VALUE_LENGTH_MAX = 1000;
/** Facts of a line; more come from a bug. */
const FACTS_MAX = 64;
/** Frames of a stack on a terminal. */
const FRAMES_SHOWN_MAX = 4;

export const REDACTED = '[redacted]';
/** Keys under which a credential may stand. Counts of them are no secret. */
const SECRET_KEY = /token|authori[sz]ation|password|secret|credential|cookie/i;
const BEARER = /\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi;

/** Names that every line has; a fact of that name stands beside them. */
const LINE_KEYS: readonly string[] = ['level', 'time', 'folder', 'event'];

/**
 * C0, delete, C1 (where terminals read commands too), line and paragraph separators, and the marks that turn the
 * direction of text and so hide what it says.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get through
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Control characters as `\uXXXX`, which is also how JSON writes them. */
export function escapeControl(text: string): string {
  return text.replace(
    CONTROL,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The facts of a line as they may be written: flat, bounded, without credentials. */
export function safeFacts(
  facts: LogFacts,
  secrets: readonly string[],
): Record<string, string | number | boolean> {
  const safe: Record<string, string | number | boolean> = {};
  for (const [key, value] of Object.entries(facts).slice(0, FACTS_MAX)) {
    if (value === undefined) continue;
    const name = LINE_KEYS.includes(key) ? `${key}Fact` : key;
    if (value instanceof Error) Object.assign(safe, errorFacts(name, value, secrets));
    else safe[name] = safeValue(key, value, secrets);
  }
  return safe;
}

function safeValue(
  key: string,
  value: Exclude<LogFact, undefined | Error>,
  secrets: readonly string[],
): string | number | boolean {
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'boolean') return value;
  return SECRET_KEY.test(key) ? REDACTED : safeText(value, secrets);
}

/** Text without credentials, cut. */
export function safeText(text: string, secrets: readonly string[]): string {
  let safe = text;
  for (const secret of secrets) safe = safe.replaceAll(secret, REDACTED);
  safe = safe.replace(BEARER, `$1 ${REDACTED}`);
  return safe.length <= VALUE_LENGTH_MAX ? safe : `${safe.slice(0, VALUE_LENGTH_MAX)}…`;
}

/** An error as facts: what happened, and where, when it is one of ours that should not happen. */
function errorFacts(
  name: string,
  error: Error,
  secrets: readonly string[],
): Record<string, string | number | boolean> {
  const facts: Record<string, string | number | boolean> = {};
  facts[name] = safeText(error.message, secrets);
  const isBug = !(error instanceof SluiceError) || error.code === 'INVARIANT';
  if (error instanceof SluiceError) {
    facts[`${name}Code`] = error.code;
    facts[`${name}Hint`] = safeText(error.hint, secrets);
    for (const [key, value] of Object.entries(error.facts)) {
      facts[`${name}.${key}`] = safeValue(key, value, secrets);
    }
  }
  if (isBug && error.stack !== undefined) facts[`${name}Stack`] = stackOf(error, secrets);
  if (error.cause instanceof Error) facts[`${name}Cause`] = safeText(error.cause.message, secrets);
  return facts;
}

/** The frames of a stack, without the message before them. */
function stackOf(error: Error, secrets: readonly string[]): string {
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return safeText(frames.map((frame) => frame.trim()).join('\n'), secrets);
}

const COLOURS: Readonly<Record<string, string>> = {
  info: '\u001b[32m',
  warn: '\u001b[33m',
  error: '\u001b[31m',
};
const DIM = '\u001b[2m';
const PLAIN = '\u001b[0m';

/**
 * A line for people: `12:00:00.000 INFO  broker     ready port=8880`.
 *
 * @param line - a line of JSON as the logger makes it
 */
export function prettyLine(line: string, colour: boolean): string {
  const { time, level, folder, event, ...facts } = JSON.parse(line) as Record<string, unknown>;
  const paint = (code: string, text: string): string => (colour ? code + text + PLAIN : text);
  const clock = String(time).slice(11, 23);
  const label = String(level).toUpperCase().padEnd(5);
  const words = Object.entries(facts).map(
    ([key, value]) => `${paint(DIM, `${escapeControl(key)}=`)}${prettyValue(key, value)}`,
  );
  return [
    paint(DIM, clock),
    paint(COLOURS[String(level)] ?? '', label),
    escapeControl(String(folder ?? '')).padEnd(10),
    escapeControl(String(event)),
    ...words,
  ].join(' ');
}

function prettyValue(key: string, value: unknown): string {
  if (typeof value !== 'string') return String(value);
  if (key.endsWith('Stack')) {
    const frames = value.split('\n').slice(0, FRAMES_SHOWN_MAX);
    return JSON.stringify(escapeControl(frames.join(' ')));
  }
  // Quoted where its end would not be seen otherwise.
  return /^[^\s"=]+$/.test(value) && escapeControl(value) === value
    ? value
    : escapeControl(JSON.stringify(value));
}
