/**
 * CONTROL frames: the object of a JSON frame as msgpack behind one byte of kind. Bytes from outside are scanned
 * (control-scan.ts) before the library sees them. The library's build without generated code is used, so that a page
 * with a strict content security policy may load it; nothing here is native. Browser-safe.
 */
import type { Packr } from 'msgpackr';
// @ts-expect-error: this build ships no types of its own; they are those of the main entry
import * as noEval from 'msgpackr/index-no-eval';
import { viewOf } from './binary-codec.ts';
import { ControlScan, type ControlVerdict } from './control-scan.ts';
import { CONTROL_BODY, FRAME_CONTROL, FRAME_KIND } from './frames-layout.ts';

/** What a CONTROL frame held, or why it is none. Nothing is known yet about the fields of `value`. */
export type ControlDecoded =
  | { readonly verdict: 'ok'; readonly value: Readonly<Record<string, unknown>> }
  | { readonly verdict: Exclude<ControlVerdict, 'ok'> | 'wrong-kind' | 'undecodable' };

// Plain maps that any msgpack library reads: no records, no extensions for undefined or large numbers.
const packr = new (noEval.Packr as typeof Packr)({
  useRecords: false,
  variableMapSize: true,
  int64AsType: 'number',
  encodeUndefinedAsNil: true,
});
const controlScan = new ControlScan();

/**
 * Encodes one object of JSON values (and `Uint8Array`s) as a CONTROL frame.
 *
 * @shape the frame is the caller's own copy
 */
export function encodeControl(value: object): Uint8Array {
  const packed = packr.pack(value);
  const frame = new Uint8Array(CONTROL_BODY + packed.length);
  frame[FRAME_KIND] = FRAME_CONTROL;
  frame.set(packed, CONTROL_BODY);
  return frame;
}

/**
 * Decodes a CONTROL frame from outside. Never throws, and allocates by nothing that was not counted first.
 *
 * @shape strings are copies; a `bin` value is a view of `frame`
 */
export function decodeControl(frame: Uint8Array): ControlDecoded {
  if (frame.length === 0) return { verdict: 'too-short' };
  if (frame[FRAME_KIND] !== FRAME_CONTROL) return { verdict: 'wrong-kind' };
  const verdict = controlScan.scan(viewOf(frame), CONTROL_BODY);
  if (verdict !== 'ok') return { verdict };
  try {
    const value: unknown = packr.unpack(frame.subarray(CONTROL_BODY));
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return { verdict: 'not-a-map' };
    return { verdict: 'ok', value: value as Record<string, unknown> };
  } catch {
    // The scan leaves nothing that the library refuses; should it refuse, the frame is wrong and not the process.
    return { verdict: 'undecodable' };
  }
}
