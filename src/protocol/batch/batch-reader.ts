/**
 * Steps through the records of a batch that was checked (`batch-check.ts`), in place: one object, moved along, so that
 * reading a million records allocates nothing but the strings asked for. Browser-safe.
 */
import { getU64 } from '../../base/bytes.ts';
import { recordsStart } from './batch-check.ts';
import * as layout from './batch-layout.ts';
import { readText } from './text-bytes.ts';

export class BatchReader {
  private bytes: Uint8Array = new Uint8Array(0);
  private view: DataView = new DataView(new ArrayBuffer(0));
  private at = 0;
  private record = 0;
  /** Index of the current record in its batch; -1 before the first `next`. */
  index = -1;
  recordCount = 0;

  /**
   * @param at - byte offset of the producer's batch in `bytes`
   * @shape `bytes` are borrowed as long as the reader is used on them
   */
  open(bytes: Uint8Array, view: DataView, at: number): this {
    this.bytes = bytes;
    this.view = view;
    this.at = at;
    this.index = -1;
    this.recordCount = view.getUint32(at + layout.BATCH_RECORD_COUNT, true);
    this.record = -1;
    return this;
  }

  /** Moves to the next record; false after the last. */
  next(): boolean {
    this.index += 1;
    if (this.index >= this.recordCount) return false;
    this.record =
      this.index === 0
        ? recordsStart(this.view, this.at)
        : this.record + this.view.getUint32(this.record, true);
    return true;
  }

  /** Memory that the byte offsets below are in. @shape borrowed, as by `open` */
  get source(): Uint8Array {
    return this.bytes;
  }

  /** Byte offset of the record's header in `source`. */
  get recordStart(): number {
    return this.record;
  }

  /** Byte offset of the key in `source`; the tag follows it, then the properties, then the body. */
  get keyStart(): number {
    return this.record + layout.RECORD_HEADER_BYTES;
  }

  get propertiesBytes(): number {
    return this.view.getUint16(this.record + layout.RECORD_PROPERTIES_BYTES, true);
  }

  /** Byte offset of the end of the record, and of its body. */
  get recordEnd(): number {
    return this.record + this.view.getUint32(this.record, true);
  }

  get producerId(): string {
    const idBytes = this.view.getUint16(this.at + layout.BATCH_PRODUCER_ID_BYTES, true);
    const start = this.at + layout.BATCH_HEADER_BYTES;
    return readText(this.bytes, start, start + idBytes);
  }

  get producerEpoch(): number {
    return this.view.getUint32(this.at + layout.BATCH_PRODUCER_EPOCH, true);
  }

  get sequence(): number {
    return getU64(this.view, this.at + layout.BATCH_SEQUENCE);
  }

  get bornAtMs(): number {
    const base = getU64(this.view, this.at + layout.BATCH_BORN_AT_MS);
    return base + this.view.getUint32(this.record + layout.RECORD_BORN_DELTA, true);
  }

  /** The key; empty when the record has none. */
  get key(): string {
    const start = this.keyStart;
    return readText(this.bytes, start, start + this.keyBytes);
  }

  /** The tag; empty when the record has none. */
  get tag(): string {
    const start = this.tagStart;
    return readText(this.bytes, start, start + this.tagBytes);
  }

  get tagStart(): number {
    return this.keyStart + this.keyBytes;
  }

  /** Of each property: u16 length and name, u16 length and value. */
  get propertiesStart(): number {
    return this.tagStart + this.tagBytes;
  }

  get propertiesEnd(): number {
    return this.propertiesStart + this.propertiesBytes;
  }

  get keyBytes(): number {
    return this.view.getUint16(this.record + layout.RECORD_KEY_BYTES, true);
  }

  get tagBytes(): number {
    return this.view.getUint16(this.record + layout.RECORD_TAG_BYTES, true);
  }

  /** The properties as a null-prototype object: names come from outside. */
  get properties(): Record<string, string> {
    const properties = Object.create(null) as Record<string, string>;
    let at = this.propertiesStart;
    const end = this.propertiesEnd;
    while (at < end) {
      const nameEnd = at + 2 + this.view.getUint16(at, true);
      const valueEnd = nameEnd + 2 + this.view.getUint16(nameEnd, true);
      properties[readText(this.bytes, at + 2, nameEnd)] = readText(
        this.bytes,
        nameEnd + 2,
        valueEnd,
      );
      at = valueEnd;
    }
    return properties;
  }

  get bodyKind(): layout.BodyKind {
    return this.view.getUint8(this.record + layout.RECORD_BODY_KIND) as layout.BodyKind;
  }

  /** The body as a view of the batch's memory. */
  get body(): Uint8Array {
    return this.bytes.subarray(
      this.propertiesEnd,
      this.record + this.view.getUint32(this.record, true),
    );
  }

  get bodyText(): string {
    return readText(
      this.bytes,
      this.propertiesEnd,
      this.record + this.view.getUint32(this.record, true),
    );
  }
}
