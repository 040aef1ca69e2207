/** The options of a producer, checked and with their defaults. Browser-safe. */
import { checkArgument } from '../base/assert.ts';
import { BATCH_BYTES_MAX, DEDUP_BATCHES_MAX, PRODUCER_ID_BYTES_MAX } from '../base/limits.ts';
import { MIB } from '../base/units.ts';
import { textBytes } from '../protocol/batch/text-bytes.ts';
import type { BatchReceipt } from './receipt.ts';
import type { ClientRuntime } from './runtime.ts';
import type { ProducerOptions, PushFailure } from './types.ts';

export type ProducerSettings = {
  readonly lingerMs: number;
  readonly batchBytes: number;
  readonly maxInFlight: number;
  readonly bufferBytes: number;
  readonly sendTimeoutMs: number;
  /** May messages with keys go elsewhere while the broker of their queue is away? */
  readonly movesKeys: boolean;
  /** Milliseconds after which what a lost broker may have stored is sent to another; Infinity: never. */
  readonly moveInDoubtMs: number;
  producerId: string;
  producerEpoch: number;
  readonly onReceipt: ((receipt: BatchReceipt) => void) | undefined;
  readonly onFailure: ((failure: PushFailure) => void) | undefined;
};

const LINGER_MS_DEFAULT = 2;
const BATCH_BYTES_DEFAULT = 16_384;
const BATCH_BYTES_MIN = 1024;
const BUFFER_BYTES_DEFAULT: number = 32 * MIB;
const SEND_TIMEOUT_MS_DEFAULT = 30_000;
const MOVE_IN_DOUBT_MS_DEFAULT = 5000;

/** @throws INVALID_ARGUMENT */
export function producerSettings(
  options: ProducerOptions,
  runtime: ClientRuntime,
): ProducerSettings {
  const producerId = options.producerId ?? `p-${runtime.newId()}`;
  checkArgument(
    typeof producerId === 'string' && producerId !== '',
    'producerId is empty or no string',
  );
  const idBytes = textBytes(producerId);
  checkArgument(
    idBytes <= PRODUCER_ID_BYTES_MAX,
    `producerId has ${idBytes} bytes; at most ${PRODUCER_ID_BYTES_MAX} are allowed`,
  );
  // An id of the user's may have lived before, and its sequences with it: a later start is a higher generation.
  const epochDefault =
    options.producerId === undefined ? 0 : Math.floor(runtime.clock.epochMs() / 1000);
  return {
    lingerMs: range('lingerMs', options.lingerMs ?? LINGER_MS_DEFAULT, 0, 60_000),
    batchBytes: range(
      'batchBytes',
      options.batchBytes ?? BATCH_BYTES_DEFAULT,
      BATCH_BYTES_MIN,
      BATCH_BYTES_MAX,
    ),
    maxInFlight: range(
      'maxInFlight',
      options.maxInFlight ?? DEDUP_BATCHES_MAX,
      1,
      DEDUP_BATCHES_MAX,
    ),
    bufferBytes: range(
      'bufferBytes',
      options.bufferBytes ?? BUFFER_BYTES_DEFAULT,
      BATCH_BYTES_MIN,
      Number.MAX_SAFE_INTEGER,
    ),
    sendTimeoutMs: range(
      'sendTimeoutMs',
      options.sendTimeoutMs ?? SEND_TIMEOUT_MS_DEFAULT,
      0,
      0x7fff_ffff,
    ),
    movesKeys: movesKeys(options.keyOrder),
    moveInDoubtMs: range(
      'moveInDoubtMs',
      options.moveInDoubtMs ?? MOVE_IN_DOUBT_MS_DEFAULT,
      0,
      Number.POSITIVE_INFINITY,
    ),
    producerId,
    producerEpoch: range('producerEpoch', options.producerEpoch ?? epochDefault, 0, 0xffff_ffff),
    onReceipt: options.onReceipt,
    onFailure: options.onFailure,
  };
}

function movesKeys(keyOrder: unknown): boolean {
  checkArgument(
    keyOrder === undefined || keyOrder === 'kept' || keyOrder === 'available',
    `keyOrder is ${JSON.stringify(keyOrder)}; 'kept' and 'available' are allowed`,
  );
  return keyOrder === 'available';
}

/** @throws INVALID_ARGUMENT */
export function range(name: string, value: unknown, low: number, high: number): number {
  checkArgument(
    typeof value === 'number' && value >= low && value <= high,
    `${name} is ${String(value)}; a number from ${low} to ${high} is allowed`,
  );
  return value;
}
