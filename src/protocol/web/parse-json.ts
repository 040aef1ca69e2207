/**
 * JSON from outside. The engine's parser takes seconds for millions of brackets, on the thread that all connections share:
 * how deep a text is nested is counted before it is parsed. Browser-safe.
 */
import { JSON_DEPTH_MAX } from '../../base/limits.ts';

/** A text as short as this cannot be nested deeply enough to matter. */
const SHORT_TEXT = 4096;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Why a text is refused, for a sentence. */
export const DEEPER_THAN_MAX: string = `is nested deeper than ${JSON_DEPTH_MAX} levels`;

/** What became of a text. */
export type ParsedJson =
  | { readonly verdict: 'ok'; readonly value: unknown }
  | { readonly verdict: 'not-json' | 'too-deep' };

/** Parses a text. Never throws. */
export function parseJson(text: string): ParsedJson {
  if (text.length > SHORT_TEXT && isTooDeep(text)) return { verdict: 'too-deep' };
  try {
    return { verdict: 'ok', value: JSON.parse(text) };
  } catch {
    return { verdict: 'not-json' };
  }
}

/** Is there a place with more than JSON_DEPTH_MAX brackets and braces open? Of a text that is no JSON it may say either. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === OPEN_BRACKET || code === OPEN_BRACE) {
      depth += 1;
      if (depth > JSON_DEPTH_MAX) return true;
    } else if (code === CLOSE_BRACKET || code === CLOSE_BRACE) depth -= 1;
  }
  return false;
}

/** Index of the quote that ends the string which begins at `start`; the text's length when there is none. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  for (; end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}
