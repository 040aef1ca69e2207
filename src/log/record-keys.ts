/**
 * The texts by which a record is found: its key as it stands, each word of it where it has blanks, and the id that a client of
 * RocketMQ gave the message (its property UNIQ_KEY). Read in place; an index and a search without one look at the same.
 *
 * @source RocketMQ IndexService.buildIndex
 */
import { fnv1aBytes } from '../base/fnv1a.ts';
import * as layout from '../protocol/batch/batch-layout.ts';

/** Told where a text begins and ends; true ends the walk. */
type KeyVisit = (start: number, end: number) => boolean;

const UNIQUE_KEY = new TextEncoder().encode('UNIQ_KEY');
const BLANK = 0x20;

/** Calls `visit` for each text by which the record at `at` is found. @returns true when `visit` did */
function visitKeys(bytes: Uint8Array, view: DataView, at: number, visit: KeyVisit): boolean {
  const keyStart = at + layout.RECORD_HEADER_BYTES;
  const keyEnd = keyStart + view.getUint16(at + layout.RECORD_KEY_BYTES, true);
  if (keyEnd > keyStart) {
    if (visit(keyStart, keyEnd) || visitWords(bytes, keyStart, keyEnd, visit)) return true;
  }
  const start = keyEnd + view.getUint16(at + layout.RECORD_TAG_BYTES, true);
  const end = start + view.getUint16(at + layout.RECORD_PROPERTIES_BYTES, true);
  for (let property = start; property < end; ) {
    const nameEnd = property + 2 + view.getUint16(property, true);
    const valueEnd = nameEnd + 2 + view.getUint16(nameEnd, true);
    if (isSame(bytes, property + 2, nameEnd, UNIQUE_KEY)) return visit(nameEnd + 2, valueEnd);
    property = valueEnd;
  }
  return false;
}

/** The words of a key, where it has more than one. */
function visitWords(bytes: Uint8Array, start: number, end: number, visit: KeyVisit): boolean {
  let word = start;
  let hasBlank = false;
  for (let at = start; at <= end; at += 1) {
    if (at < end && bytes[at] !== BLANK) continue;
    hasBlank ||= at < end;
    if (hasBlank && at > word && visit(word, at)) return true;
    word = at + 1;
  }
  return false;
}

/** Calls `visit` with the hash of each text by which the record at `at` is found. */
export function visitKeyHashes(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  visit: (hash: number) => void,
): void {
  visitKeys(bytes, view, at, (start, end) => {
    visit(fnv1aBytes(bytes, start, end));
    return false;
  });
}

/** Is the record at `at` found by this text? @param key - in UTF-8 */
export function hasKey(bytes: Uint8Array, view: DataView, at: number, key: Uint8Array): boolean {
  return visitKeys(bytes, view, at, (start, end) => isSame(bytes, start, end, key));
}

function isSame(bytes: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  if (end - start !== text.length) return false;
  for (let index = 0; index < text.length; index += 1)
    if (bytes[start + index] !== text[index]) return false;
  return true;
}
