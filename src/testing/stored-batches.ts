/** Stored batches of one size, written to a simulated disk by hand: for tests of recovery and of what it reads. */
import { crc32 } from '../base/crc32-native.ts';
import { writeStoredHeader } from '../log/stored-header.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { SECTOR_BYTES } from './sim-page.ts';

/** A batch fills a sector: each is lost, kept or brought back by itself. */
const PAYLOAD_BYTES: number = SECTOR_BYTES - layout.STORED_HEADER_BYTES;
/** Bytes of every batch that is made here. */
export const FILLED_BATCH_BYTES: number = layout.STORED_HEADER_BYTES + PAYLOAD_BYTES;

/** Where it goes, and a number that tells it from all others. */
export type FilledBatch = {
  readonly position: number;
  readonly baseOffset: number;
  readonly id: number;
  /** The flushed position that its header names. */
  readonly flushed: number;
};

/** A stored batch whose header and checksums are right. Its payload is filler: nobody reads records from it. */
export function filledBatch({ position, baseOffset, id, flushed }: FilledBatch): Uint8Array {
  const bytes = new Uint8Array(FILLED_BATCH_BYTES);
  const view = new DataView(bytes.buffer);
  const payloadAt = layout.STORED_HEADER_BYTES;
  bytes.fill(id % 251, payloadAt);
  view.setUint32(payloadAt + layout.BATCH_BYTES, PAYLOAD_BYTES, true);
  const payloadCrc = crc32(bytes, payloadAt + layout.BATCH_BYTES, bytes.length);
  view.setUint32(payloadAt + layout.BATCH_CRC, payloadCrc, true);
  writeStoredHeader(bytes, view, 0, {
    ...{ kind: layout.KIND_DATA, bytes: bytes.length, position, baseOffset, flushed },
    ...{ storedAtMs: id, epoch: 1, topicId: 1, queueId: 0, flags: 0, payloadCrc },
  });
  return bytes;
}

/** The number of a batch made by `filledBatch`. */
export function filledBatchId(view: DataView, at: number): number {
  return view.getUint32(at + layout.STORED_AT_MS, true);
}
