/**
 * The flushed position in a file of its own, in two slots written in turn: closes the window in which the last flushed
 * batch is not yet named by a later one (research: reliability 2.3). Flusher thread; the sync blocks.
 *
 *   slot (512 bytes, at 0 and at 4096):  0 u32 magic   4 u32 crc of 8..32   8 u64 flushed   16 u64 number   24 u32 epoch
 *   28 u32 1: written by a clean stop, nothing was appended behind it
 */
import { getU64, setU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32.ts';
import { CHECKPOINT_NAME } from './file-names.ts';
import type { Storage, StorageFile } from './storage.ts';

const MAGIC = 0x50435153;
const SLOT_BYTES = 512;
const SLOT_DISTANCE = 4096;
const CRC_FROM = 8;
const CRC_TO = 32;

/** What a checkpoint says. */
export type CheckpointValue = {
  readonly flushed: number;
  readonly number: number;
  readonly epoch: number;
  /** Written by a clean stop: nothing that was appended before is missing. */
  readonly isClean: boolean;
};

/** The newest valid slot; undefined when there is none (a new log, or both damaged). */
export function readCheckpoint(storage: Storage): CheckpointValue | undefined {
  if (!storage.exists(CHECKPOINT_NAME)) return undefined;
  const file = storage.open(CHECKPOINT_NAME, false);
  try {
    const slots = [readSlot(file, 0), readSlot(file, SLOT_DISTANCE)].filter(
      (slot) => slot !== undefined,
    );
    return slots.sort((left, right) => right.number - left.number)[0];
  } finally {
    file.close();
  }
}

function readSlot(file: StorageFile, byteOffset: number): CheckpointValue | undefined {
  const bytes = new Uint8Array(SLOT_BYTES);
  if (file.read(bytes, byteOffset) < CRC_TO) return undefined;
  const view = new DataView(bytes.buffer);
  if (
    view.getUint32(0, true) !== MAGIC ||
    view.getUint32(4, true) !== crc32(bytes, CRC_FROM, CRC_TO)
  )
    return undefined;
  return {
    flushed: getU64(view, 8),
    number: getU64(view, 16),
    epoch: view.getUint32(24, true),
    isClean: view.getUint32(28, true) === 1,
  };
}

export class CheckpointWriter {
  private readonly file: StorageFile;
  private readonly epoch: number;
  private number: number;
  private readonly bytes = new Uint8Array(SLOT_BYTES);

  /** Opens or creates the file. @throws STORAGE_IO, STORAGE_FULL */
  constructor(storage: Storage, epoch: number) {
    this.number = readCheckpoint(storage)?.number ?? 0;
    this.epoch = epoch;
    this.file = storage.open(CHECKPOINT_NAME, true);
    // Both slots exist from the start, so that no later write can find the disk full.
    if (this.file.size() < SLOT_DISTANCE + SLOT_BYTES) {
      this.file.write(new Uint8Array(SLOT_DISTANCE + SLOT_BYTES), 0);
      this.file.sync();
      storage.syncDirectory();
    }
  }

  /** Names `flushed`, which must be on the disk already. @throws STORAGE_IO; then the shard is fenced */
  write(flushed: number, isClean = false): void {
    this.number += 1;
    const view = new DataView(this.bytes.buffer);
    view.setUint32(0, MAGIC, true);
    setU64(view, 8, flushed);
    setU64(view, 16, this.number);
    view.setUint32(24, this.epoch, true);
    view.setUint32(28, isClean ? 1 : 0, true);
    view.setUint32(4, crc32(this.bytes, CRC_FROM, CRC_TO), true);
    this.file.write(this.bytes, (this.number % 2) * SLOT_DISTANCE);
    this.file.sync();
  }

  close(): void {
    this.file.close();
  }
}
