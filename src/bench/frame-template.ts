/**
 * A SEND_BATCH frame of one producer, built once: WebSocket header, frame header, batch. Sending it again means to stamp
 * new numbers into a copy, which costs less than a microsecond, checksum included: so the generator is not what is measured.
 *
 *   0 WebSocket header (8 or 14 bytes, mask 0)   SEND_BATCH header (16)   batch
 */
import { setU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32-native.ts';
import type { Prng } from '../base/prng.ts';
import { alignUp } from '../base/units.ts';
import { BatchBuilder, type RecordInput, recordBytes } from '../protocol/batch/batch-builder.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { encodeSendBatchHeader, viewOf } from '../protocol/web/binary-codec.ts';
import { SEND_HEADER_BYTES } from '../protocol/web/frames-layout.ts';
import { CrcField } from './crc-field.ts';
import { newBody, STAMP_BATCH, writeStamp } from './message-stamp.ts';
import { clientHeaderBytes, OPCODE_BINARY, writeClientHeader } from './ws-frames.ts';

export type TemplateOptions = {
  /** Number of the producer, in every stamp. */
  readonly producer: number;
  /** Identity for dedup. */
  readonly producerId: string;
  readonly bodyBytes: number;
  readonly recordCount: number;
  readonly bornAtMs: number;
  readonly prng: Prng;
};

/** Records of a body size that a batch of at most `batchBytes` holds; at least one. */
export function recordsPerBatch(batchBytes: number, bodyBytes: number, producerId: string): number {
  const header = layout.BATCH_HEADER_BYTES + alignUp(producerId.length, 8);
  return Math.max(1, Math.floor((batchBytes - header) / (layout.RECORD_HEADER_BYTES + bodyBytes)));
}

/** Bytes of a SEND_BATCH frame (without the WebSocket header) with this many records. */
export function sendFrameBytes(recordCount: number, bodyBytes: number, idBytes: number): number {
  const records = recordCount * (layout.RECORD_HEADER_BYTES + bodyBytes);
  return SEND_HEADER_BYTES + alignUp(layout.BATCH_HEADER_BYTES + alignUp(idBytes, 8) + records, 8);
}

export class FrameTemplate {
  /** Everything, with zeros where stamps go. */
  readonly bytes: Uint8Array;
  readonly recordCount: number;
  /** Bytes of the frame without the WebSocket header. */
  readonly payloadBytes: number;
  /** Where the frame header begins. */
  private readonly frameAt: number;
  private readonly batchAt: number;
  private readonly baseCrc: number;
  /** Where the number of the batch stands in each body, from the start of the template. */
  private readonly stampPlaces: Int32Array;
  private readonly batchField: CrcField;
  private readonly sequenceField: CrcField;

  constructor(options: TemplateOptions) {
    const batch = buildBatch(options);
    this.recordCount = options.recordCount;
    this.payloadBytes = SEND_HEADER_BYTES + batch.length;
    this.frameAt = clientHeaderBytes(this.payloadBytes);
    this.batchAt = this.frameAt + SEND_HEADER_BYTES;
    this.bytes = new Uint8Array(this.batchAt + batch.length);
    writeClientHeader(this.bytes, 0, OPCODE_BINARY, this.payloadBytes);
    this.bytes.set(batch, this.batchAt);
    const view = viewOf(batch);
    this.baseCrc = view.getUint32(layout.BATCH_CRC, true);
    const stamps = bodyPlaces(batch, view).map((place) => place + STAMP_BATCH);
    this.stampPlaces = Int32Array.from(stamps, (place) => this.batchAt + place);
    // Both fields as places within what the checksum covers.
    const covered = batch.length - layout.BATCH_BYTES;
    const inCovered = (place: number): number => place - layout.BATCH_BYTES;
    this.batchField = new CrcField(covered, stamps.map(inCovered), 4);
    this.sequenceField = new CrcField(covered, [inCovered(layout.BATCH_SEQUENCE)], 8);
  }

  /**
   * Makes the copy of the template at `at` of `view` a frame of its own.
   *
   * @param batch - number of the batch, in every stamp; a u32
   * @param sequence - of its first record, for dedup
   */
  stamp(
    view: DataView,
    at: number,
    batch: number,
    sequence: number,
    correlationId: number,
    queueId: number,
    topicId: number,
  ): void {
    const frame = new DataView(view.buffer, view.byteOffset + at + this.frameAt, SEND_HEADER_BYTES);
    encodeSendBatchHeader(frame, queueId, correlationId, topicId);
    for (const place of this.stampPlaces) view.setUint32(at + place, batch, true);
    const batchAt = at + this.batchAt;
    setU64(view, batchAt + layout.BATCH_SEQUENCE, sequence);
    const high = Math.floor(sequence / 0x1_0000_0000);
    const crc =
      this.baseCrc ^ this.batchField.delta(batch) ^ this.sequenceField.delta(sequence >>> 0, high);
    view.setUint32(batchAt + layout.BATCH_CRC, crc >>> 0, true);
  }
}

function buildBatch(options: TemplateOptions): Uint8Array {
  const { producer, producerId, bodyBytes, recordCount, bornAtMs, prng } = options;
  const builder = new BatchBuilder(recordCount * (bodyBytes + 16), producerId, 0, crc32);
  for (let index = 0; index < recordCount; index += 1) {
    const body = newBody(bodyBytes, prng);
    writeStamp(viewOf(body), 0, producer, index, 0);
    const record: RecordInput = { body, bodyKind: layout.BODY_BYTES };
    builder.append(record, recordBytes(record), Number.MAX_SAFE_INTEGER, bornAtMs);
  }
  return builder.finish(0, 0);
}

/** Where each body begins. */
function bodyPlaces(batch: Uint8Array, view: DataView): number[] {
  const places: number[] = [];
  const reader = new BatchReader().open(batch, view, 0);
  while (reader.next()) places.push(reader.body.byteOffset - batch.byteOffset);
  return places;
}
