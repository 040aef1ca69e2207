/** The journal of a slave at the opening of its shard: read, made to fit the log, taken into the state. Blocks. */
import { toSluiceError } from '../base/errors.ts';
import {
  encodeSettled,
  removeSettled,
  type SettledFile,
  writeSettled,
} from '../log/settled-file.ts';
import type { Storage } from '../log/storage.ts';
import { SettledJournal } from './settled-journal.ts';
import { applySettled, clipSettled } from './settled-records.ts';
import type { ShardConfig } from './shard-config.ts';
import type { ShardState } from './shard-state.ts';

export type OpenedJournal = {
  readonly journal: SettledJournal | undefined;
  /** In words, what of it is not there any more. */
  readonly journalLoss: string | undefined;
};

/**
 * What was settled above the end of this log, or in another log, goes for good, before the log grows again: those offsets may be
 * given to other messages. Such messages come again, where they still exist.
 *
 * @param end - of the log that was recovered
 * @throws STORAGE_IO
 */
export function openJournal(
  { storage, config }: { readonly storage: Storage; readonly config: ShardConfig },
  state: ShardState,
  kept: SettledFile | 'damaged' | undefined,
  end: number,
): OpenedJournal {
  if (config.replication === undefined) return { journal: undefined, journalLoss: undefined };
  const nothing = { period: 0, commit: 0, logId: state.logId, records: [], lostRecords: 0 };
  const file: SettledFile = typeof kept === 'object' ? kept : nothing;
  const isSameLog = file.logId === state.logId;
  const records = isSameLog ? clipSettled(state, file.records) : [];
  const commit = Math.min(file.commit, end);
  const countOf = (list: SettledFile['records']): number =>
    list.reduce((sum, { count }) => sum + count, 0);
  const lost = countOf(file.records) - countOf(records);
  const isWhole = file.lostRecords === 0 && kept !== 'damaged';
  const fits = records.length === file.records.length && lost === 0 && commit === file.commit;
  const isAsKept = isWhole && fits && isSameLog;
  // Another number, so that a write of before that comes late is none of this file.
  const header = { period: file.period + (isAsKept ? 0 : 1), commit, logId: state.logId };
  if (kept !== undefined && !isAsKept) replace(storage, encodeSettled(header, records));
  applySettled(state, records);
  const words: string[] = [];
  if (kept === 'damaged') words.push('it is damaged, and was begun anew');
  if (lost > 0) words.push(`${lost} settled messages are not in the log any more, or in another`);
  if (file.lostRecords > 0) words.push(`${file.lostRecords} records were not whole`);
  return {
    journal: new SettledJournal(header, records),
    journalLoss:
      words.length === 0 ? undefined : `${storage.location}: settled.journal: ${words.join('; ')}`,
  };
}

/** On a full disk there must be none rather than the old one. */
function replace(storage: Storage, bytes: Uint8Array): void {
  try {
    writeSettled(storage, bytes);
  } catch (error) {
    if (toSluiceError(error).code !== 'STORAGE_FULL') throw error;
    removeSettled(storage);
  }
}
