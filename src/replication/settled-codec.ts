/**
 * The frames by which a slave hands over what was settled with it, and by which its master confirms that. Reads bytes that may be
 * anything: nothing throws, and what is wrong is `undefined`.
 */
import { getU64, setU64 } from '../base/bytes.ts';
import { isSettledRecord, type SettledRecord } from '../log/settled-file.ts';
import { type Frame, sealFrame } from './transfer-codec.ts';
import * as layout from './transfer-layout.ts';

/** Which stream a frame belongs to, and which of its hand-overs it is about. */
export type SettledPlace = {
  readonly epoch: number;
  readonly session: number;
  readonly number: number;
};

export type SettledFrame = SettledPlace & {
  readonly records: readonly SettledRecord[];
  readonly isLast: boolean;
};

export type LoggedFrame = SettledPlace & { readonly position: number };

export function encodeSettledFrame(frame: SettledFrame): Uint8Array {
  const { records } = frame;
  const length = layout.SETTLED_RECORDS + records.length * layout.SETTLED_RECORD_BYTES;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(layout.SETTLED_EPOCH, frame.epoch, true);
  view.setUint32(layout.SETTLED_SESSION, frame.session, true);
  view.setUint32(layout.SETTLED_NUMBER, frame.number, true);
  view.setUint16(layout.SETTLED_FLAGS, frame.isLast ? layout.SETTLED_FLAG_LAST : 0, true);
  view.setUint16(layout.SETTLED_COUNT, records.length, true);
  records.forEach(({ kind, groupId, topicId, queueId, start, count }, index) => {
    const at = layout.SETTLED_RECORDS + index * layout.SETTLED_RECORD_BYTES;
    view.setUint32(at, kind, true);
    view.setUint32(at + 4, groupId, true);
    view.setUint32(at + 8, topicId, true);
    view.setUint32(at + 12, queueId, true);
    setU64(view, at + 16, start);
    setU64(view, at + 24, count);
  });
  sealFrame(bytes, view, layout.SETTLED, length);
  return bytes;
}

/** @param frame - a SETTLED frame */
export function decodeSettledFrame({ view, at, length }: Frame): SettledFrame | undefined {
  const count = view.getUint16(at + layout.SETTLED_COUNT, true);
  const flags = view.getUint16(at + layout.SETTLED_FLAGS, true);
  if (length !== layout.SETTLED_RECORDS + count * layout.SETTLED_RECORD_BYTES) return undefined;
  if ((flags & ~layout.SETTLED_FLAG_LAST) !== 0) return undefined;
  const records: SettledRecord[] = [];
  for (let index = 0; index < count; index += 1) {
    const place = at + layout.SETTLED_RECORDS + index * layout.SETTLED_RECORD_BYTES;
    const record = {
      kind: view.getUint32(place, true),
      groupId: view.getUint32(place + 4, true),
      topicId: view.getUint32(place + 8, true),
      queueId: view.getUint32(place + 12, true),
      start: getU64(view, place + 16),
      count: getU64(view, place + 24),
    };
    if (!isSettledRecord(record)) return undefined;
    records.push(record);
  }
  return {
    epoch: view.getUint32(at + layout.SETTLED_EPOCH, true),
    session: view.getUint32(at + layout.SETTLED_SESSION, true),
    number: view.getUint32(at + layout.SETTLED_NUMBER, true),
    isLast: flags === layout.SETTLED_FLAG_LAST,
    records,
  };
}

export function encodeLogged({ epoch, session, number, position }: LoggedFrame): Uint8Array {
  const bytes = new Uint8Array(layout.LOGGED_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(layout.LOGGED_EPOCH, epoch, true);
  view.setUint32(layout.LOGGED_SESSION, session, true);
  view.setUint32(layout.LOGGED_NUMBER, number, true);
  setU64(view, layout.LOGGED_POSITION, position);
  sealFrame(bytes, view, layout.LOGGED, bytes.length);
  return bytes;
}

/** @param frame - a LOGGED frame */
export function decodeLogged({ view, at, length }: Frame): LoggedFrame | undefined {
  const position = getU64(view, at + layout.LOGGED_POSITION);
  if (length !== layout.LOGGED_BYTES || position < 0) return undefined;
  return {
    epoch: view.getUint32(at + layout.LOGGED_EPOCH, true),
    session: view.getUint32(at + layout.LOGGED_SESSION, true),
    number: view.getUint32(at + layout.LOGGED_NUMBER, true),
    position,
  };
}
