/**
 * Control records about batches that cannot be seen yet. A deferred batch is named by its origin: the position at which it
 * was first stored, which stays its name when it is written again elsewhere. All three records have the same form:
 *
 *   8 u32 entries   12 u32 0   16 … u64 origin, u32 detail, u32 reason, u64 value
 *
 *   RELEASE: the flagged batches that follow are copies of these, in this order
 *   DROP:    these are not kept any more; detail: the index of one message, or DROP_ALL; reason: one of DROP_…; value: FNV-1a
 *            of the key of a message that was cancelled
 *   CHECK:   a half message was asked about; detail: how often so far; value: wall time at which it is asked about again, 0: never
 *
 * @source docs/decisions/0011-deferred-visibility.md
 */
import { getU64, setU64 } from '../base/bytes.ts';

export const CONTROL_RELEASE = 4;
export const CONTROL_DROP = 5;
export const CONTROL_CHECK = 7;

/** Detail of a DROP: all messages of the batch. */
export const DROP_ALL = 0xffff_ffff;
/** Why a deferred batch was dropped: somebody cancelled it, its transaction was rolled back, its bytes are damaged or gone. */
export const DROP_CANCELLED = 1;
export const DROP_ROLLED_BACK = 2;
export const DROP_DAMAGED = 3;

export const DEFERRED_ENTRIES_AT = 16;
export const DEFERRED_ENTRY_BYTES = 24;

/** What a record says about one deferred batch. */
export type DeferredEntry = {
  readonly origin: number;
  readonly detail: number;
  readonly reason: number;
  readonly value: number;
};

/** An entry that only names the batch. */
export function deferredEntry(origin: number, detail = 0, reason = 0, value = 0): DeferredEntry {
  return { origin, detail, reason, value };
}

export function isDeferredRecord(type: number): boolean {
  return type === CONTROL_RELEASE || type === CONTROL_DROP || type === CONTROL_CHECK;
}

/** Fills the record that begins at `at`; its own header is written already. */
export function writeDeferredRecord(
  view: DataView,
  at: number,
  entries: readonly DeferredEntry[],
): void {
  view.setUint32(at + 8, entries.length, true);
  let place = at + DEFERRED_ENTRIES_AT;
  for (const entry of entries) {
    setU64(view, place, entry.origin);
    view.setUint32(place + 8, entry.detail, true);
    view.setUint32(place + 12, entry.reason, true);
    setU64(view, place + 16, entry.value);
    place += DEFERRED_ENTRY_BYTES;
  }
}

/** @returns false when the entries do not fit the record */
export function readDeferredRecord(
  view: DataView,
  at: number,
  length: number,
  visit: (entry: DeferredEntry) => void,
): boolean {
  if (length < DEFERRED_ENTRIES_AT) return false;
  const count = view.getUint32(at + 8, true);
  if (count * DEFERRED_ENTRY_BYTES > length - DEFERRED_ENTRIES_AT) return false;
  for (let index = 0; index < count; index += 1) {
    const place = at + DEFERRED_ENTRIES_AT + index * DEFERRED_ENTRY_BYTES;
    visit({
      origin: getU64(view, place),
      detail: view.getUint32(place + 8, true),
      reason: view.getUint32(place + 12, true),
      value: getU64(view, place + 16),
    });
  }
  return true;
}
