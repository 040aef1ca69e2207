/** Brings a log to where hardly any seed brings it: its last batch ends so near to the end of a chunk that no header has room. */
import { invariant } from '../base/assert.ts';
import { BODY_TEXT, STORED_HEADER_BYTES } from '../protocol/batch/batch-layout.ts';
import { chunkBytesOf } from '../shard/shard-config.ts';
import type { ShardRig } from './shard-rig.ts';

const FILLER_BYTES = 1000;

/**
 * Sends messages to queue 0 of a topic until `restBytes` are left of the chunk that is written, a multiple of 8 below the size of
 * a header. At least some 2000 bytes of it must be free.
 *
 * @param settle - lets the shard store what was sent
 */
export function fillToRest(
  rig: ShardRig,
  to: { readonly topicId: number; readonly restBytes: number; readonly settle: () => void },
): void {
  const { topicId, restBytes, settle } = to;
  invariant(restBytes < STORED_HEADER_BYTES && restBytes % 8 === 0, 'a rest', restBytes);
  const send = (bodyBytes: number): number => {
    const before = rig.memory.appended.observe();
    rig.produce(topicId, 0, [{ body: 'x'.repeat(bodyBytes), bodyKind: BODY_TEXT }]);
    settle();
    return rig.memory.appended.observe() - before;
  };
  const chunkBytes = chunkBytesOf(rig.config);
  const { appended } = rig.memory;
  const end = appended.observe() - (appended.observe() % chunkBytes) + chunkBytes - restBytes;
  const around = send(FILLER_BYTES) - FILLER_BYTES;
  while (end - appended.observe() > 2 * (FILLER_BYTES + around)) send(FILLER_BYTES);
  send(end - appended.observe() - around);
  invariant(appended.observe() === end, 'the chunk is full but for its rest', end);
}
