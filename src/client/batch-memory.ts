/** The memory of a producer's batches: a bound on bytes, and builders that are used again. Browser-safe. */
import { BatchBuilder, type Crc32 } from '../protocol/batch/batch-builder.ts';
import { SEND_HEADER_BYTES } from '../protocol/web/frames-layout.ts';

/** Builders kept for the next batches; the others are left to the garbage collector. */
const IDLE_BUILDERS_MAX = 512;

export class BatchMemory {
  /** Bytes of batches that are not answered. */
  usedBytes = 0;
  private readonly bytesMax: number;
  private readonly batchBytes: number;
  private readonly crc32: Crc32;
  private readonly builders: BatchBuilder[] = [];

  constructor(bytesMax: number, batchBytes: number, crc32: Crc32) {
    this.bytesMax = bytesMax;
    this.batchBytes = batchBytes;
    this.crc32 = crc32;
  }

  /** Bytes counted for a batch that needs `neededBytes`: a builder has room for a usual one at least. */
  bytesOf(neededBytes: number): number {
    return Math.max(this.batchBytes, neededBytes) + SEND_HEADER_BYTES;
  }

  /** Takes memory, if the bound allows; what is larger than the bound goes when nothing else is there. */
  claim(bytes: number): boolean {
    if (this.usedBytes > 0 && this.usedBytes + bytes > this.bytesMax) return false;
    this.usedBytes += bytes;
    return true;
  }

  builder(producerId: string): BatchBuilder {
    const builder = this.builders.pop();
    if (builder === undefined)
      return new BatchBuilder(this.batchBytes, producerId, SEND_HEADER_BYTES, this.crc32);
    builder.reset(producerId);
    return builder;
  }

  /** Gives memory back, and the builder for another batch. */
  release(bytes: number, builder: BatchBuilder | null): void {
    this.usedBytes -= bytes;
    // A builder that grew for a large message would keep that memory for ever.
    const isUsual = bytes <= this.bytesOf(0);
    if (builder !== null && isUsual && this.builders.length < IDLE_BUILDERS_MAX)
      this.builders.push(builder);
  }
}
