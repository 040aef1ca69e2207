/**
 * The fields of one record of a batch that was checked, by the place of the record: nothing is decoded that nobody
 * asks for. Browser-safe.
 */
import * as layout from '../protocol/batch/batch-layout.ts';
import { ORIGIN_PROPERTY } from '../protocol/batch/reserved-property.ts';
import { readText } from '../protocol/batch/text-bytes.ts';

export function recordBytesAt(view: DataView, at: number): number {
  return view.getUint32(at + layout.RECORD_BYTES, true);
}

export function recordKey(bytes: Uint8Array, view: DataView, at: number): string {
  const start = at + layout.RECORD_HEADER_BYTES;
  return readText(bytes, start, start + view.getUint16(at + layout.RECORD_KEY_BYTES, true));
}

function tagStart(view: DataView, at: number): number {
  return at + layout.RECORD_HEADER_BYTES + view.getUint16(at + layout.RECORD_KEY_BYTES, true);
}

export function recordTag(bytes: Uint8Array, view: DataView, at: number): string {
  const start = tagStart(view, at);
  return readText(bytes, start, start + view.getUint16(at + layout.RECORD_TAG_BYTES, true));
}

function propertiesStart(view: DataView, at: number): number {
  return tagStart(view, at) + view.getUint16(at + layout.RECORD_TAG_BYTES, true);
}

/** As a null-prototype object: names come from outside. */
export function recordProperties(
  bytes: Uint8Array,
  view: DataView,
  recordAt: number,
): Record<string, string> {
  const properties = Object.create(null) as Record<string, string>;
  let at = propertiesStart(view, recordAt);
  const end = at + view.getUint16(recordAt + layout.RECORD_PROPERTIES_BYTES, true);
  while (at < end) {
    const nameEnd = at + 2 + view.getUint16(at, true);
    const valueEnd = nameEnd + 2 + view.getUint16(nameEnd, true);
    const name = readText(bytes, at + 2, nameEnd);
    if (name !== ORIGIN_PROPERTY) properties[name] = readText(bytes, nameEnd + 2, valueEnd);
    at = valueEnd;
  }
  return properties;
}

function bodyStart(view: DataView, at: number): number {
  return propertiesStart(view, at) + view.getUint16(at + layout.RECORD_PROPERTIES_BYTES, true);
}

export function recordBody(bytes: Uint8Array, view: DataView, at: number): Uint8Array {
  return bytes.subarray(bodyStart(view, at), at + recordBytesAt(view, at));
}

export function recordText(bytes: Uint8Array, view: DataView, at: number): string {
  return readText(bytes, bodyStart(view, at), at + recordBytesAt(view, at));
}

export function recordBodyKind(view: DataView, at: number): layout.BodyKind {
  return view.getUint8(at + layout.RECORD_BODY_KIND) as layout.BodyKind;
}

export function recordBornDelta(view: DataView, at: number): number {
  return view.getUint32(at + layout.RECORD_BORN_DELTA, true);
}
