/** A shard begins to write records of its own: at its opening, or when replication has found that it may. Shard thread. */
import * as layout from '../protocol/batch/batch-layout.ts';
import { logJournal } from './settled-records.ts';
import type { ShardContext } from './shard-context.ts';
import type { MetadataRecord } from './shard-state.ts';

/**
 * Writes down this boot, who this log is when it has no name yet, and what was settled here while this broker was a slave. Nothing may have been appended under `epoch` before,
 * or by another broker.
 *
 * @param logId - for a log without one; undefined: it gets none, and cannot have slaves
 */
export function takeLead(context: ShardContext, epoch: number, logId: string | undefined): void {
  const { state, log, control } = context;
  const left = log.chunkLeft();
  // A rest of a chunk without room for a header is passed over.
  const first = log.appended + (left < layout.STORED_HEADER_BYTES ? left : 0);
  state.noteEpoch(epoch, first);
  const records: MetadataRecord[] = [{ put: 'boot', boot: state.boot + 1 }];
  if (state.logId === '' && logId !== undefined) records.push({ put: 'log', logId });
  for (const record of records) {
    state.applyMetadata(record);
    control.metadata(record);
  }
  state.locks.renewAll(context.clock.monotonicMs());
  if (context.journal !== undefined) logJournal(context, context.journal);
  context.isFollowing = false;
  context.memory.markLeading();
}
