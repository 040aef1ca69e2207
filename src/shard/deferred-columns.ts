/** What a row of the table of deferred batches holds, and the arrays that hold it. */

/** What is known of one deferred batch. */
export type DeferredFields = {
  /** Position at which it was first stored: its name for ever. */
  readonly origin: number;
  /** Where it stands now. */
  readonly position: number;
  /** Bytes of the stored batch, header included. */
  readonly bytes: number;
  readonly payloadCrc: number;
  /** Wall time at which it is to be seen, or at which a half message is asked about. */
  readonly dueAtMs: number;
  readonly topicId: number;
  readonly queueId: number;
  readonly isHalf: boolean;
  /** Messages in it. */
  readonly count: number;
  /** FNV-1a of the key of its first message; 0 without a key. Of several messages the others' keys are not known. */
  readonly keyHash: number;
  /** How often a half message was asked about. */
  readonly checks: number;
};

/** A column per field, all of one length. */
export type DeferredColumns = {
  origin: Float64Array;
  position: Float64Array;
  dueAtMs: Float64Array;
  bytes: Uint32Array;
  payloadCrc: Uint32Array;
  topicId: Uint32Array;
  queueId: Uint16Array;
  isHalf: Uint8Array;
  count: Uint32Array;
  keyHash: Uint32Array;
  checks: Uint16Array;
  /** Place in the heap; NOT_IN_HEAP while its time does not matter. */
  place: Int32Array;
  /** Rows in order of due time. */
  heap: Int32Array;
};

/** All zero. */
export function deferredColumns(capacity: number): DeferredColumns {
  return {
    origin: new Float64Array(capacity),
    position: new Float64Array(capacity),
    dueAtMs: new Float64Array(capacity),
    bytes: new Uint32Array(capacity),
    payloadCrc: new Uint32Array(capacity),
    topicId: new Uint32Array(capacity),
    queueId: new Uint16Array(capacity),
    isHalf: new Uint8Array(capacity),
    count: new Uint32Array(capacity),
    keyHash: new Uint32Array(capacity),
    checks: new Uint16Array(capacity),
    place: new Int32Array(capacity),
    heap: new Int32Array(capacity),
  };
}
