/** The memory of a producer: one bound on the bytes of batches and of what waits in front of them, and builders that are used again. Browser-safe. */
import { BatchBuilder, type Crc32 } from '../protocol/batch/batch-builder.ts';
import { SEND_DEFERRED_BATCH } from '../protocol/web/frames-layout.ts';

/** Builders kept for the next batches; the others are left to the garbage collector. */
const IDLE_BUILDERS_MAX = 512;

export class BatchMemory {
  /** Bytes of batches that are not answered. */
  usedBytes = 0;
  /** Bytes of messages that wait until their topic is known. */
  waitingBytes = 0;
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
    return Math.max(this.batchBytes, neededBytes) + SEND_DEFERRED_BATCH;
  }

  /** Would the bound allow a batch of so many bytes? What is larger than the bound goes when no other batch is there. */
  canClaim(bytes: number): boolean {
    return this.usedBytes === 0 || this.usedBytes + this.waitingBytes + bytes <= this.bytesMax;
  }

  /** The same for a message that has to wait. */
  canWait(bytes: number): boolean {
    const heldBytes = this.usedBytes + this.waitingBytes;
    return heldBytes === 0 || heldBytes + bytes <= this.bytesMax;
  }

  /** Takes memory, if the bound allows. */
  claim(bytes: number): boolean {
    if (!this.canClaim(bytes)) return false;
    this.usedBytes += bytes;
    return true;
  }

  builder(producerId: string): BatchBuilder {
    const builder = this.builders.pop();
    if (builder === undefined)
      return new BatchBuilder(this.batchBytes, producerId, SEND_DEFERRED_BATCH, this.crc32);
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
