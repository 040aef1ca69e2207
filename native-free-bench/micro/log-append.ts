/**
 * Appending to a shard's log: header, checksum and one copy into the tail window, without a disk: the flusher's part is
 * played by a position that is moved along. An operation is one batch.
 */

import { MIB } from '../../src/base/units.ts';
import { LOG_MEMORY_BYTES, LogMemory } from '../../src/log/log-memory.ts';
import { type AppendFields, ShardLog } from '../../src/log/shard-log.ts';
import { TailWindow } from '../../src/log/tail-window.ts';
import { KIND_DATA } from '../../src/protocol/batch/batch-layout.ts';
import {
  bySize,
  type Case,
  digestOf,
  type MicroBenchmark,
  measureCases,
  type Plan,
} from '../harness.ts';
import { sampleBatch } from './sample-batches.ts';

const FIELDS: AppendFields = { kind: KIND_DATA, baseOffset: 0, topicId: 1, queueId: 0 };
const STORED_AT_MS = 1_760_000_000_000;
const APPENDS_PER_CALL = 16;
const APPENDS_DIGESTED = 50;

export const logAppend: MicroBenchmark = {
  name: 'log-append',
  about: 'ShardLog on a TailWindow: 16 KiB batches, and batches of one message',
  run: (plan) =>
    measureCases('log-append', plan, [
      caseOf(plan, '16 KiB batch', sampleBatch('bare', 128, plan.seed)),
      caseOf(plan, 'batch of one message', sampleBatch('bare', 128, plan.seed, 1)),
    ]),
};

type OpenLog = { readonly log: ShardLog; readonly memory: LogMemory; readonly tail: TailWindow };

function openLog(plan: Plan): OpenLog {
  const tail = new TailWindow(new SharedArrayBuffer(bySize(plan, 4, 64) * MIB));
  const memory = new LogMemory(new SharedArrayBuffer(LOG_MEMORY_BYTES), 0);
  const log = new ShardLog({
    tail,
    memory,
    leases: { isFree: () => true },
    segmentBytes: 64 * MIB,
    position: 0,
    preparedEnd: Number.MAX_SAFE_INTEGER,
    epoch: 1,
  });
  return { log, memory, tail };
}

function appendMany({ log, memory }: OpenLog, batch: Uint8Array, count: number): void {
  for (let index = 0; index < count; index += 1) {
    if (log.noRoomFor(batch.length) !== undefined) {
      // What the flusher and its disk would have done by now.
      log.publish();
      memory.written.publish(log.appended);
      memory.flushed.publish(log.appended);
      log.observe();
      log.noRoomFor(batch.length);
    }
    log.append(FIELDS, batch, 0, batch.length, STORED_AT_MS);
  }
  log.publish();
}

function caseOf(plan: Plan, name: string, batch: Uint8Array): Case {
  const open = openLog(plan);
  return {
    name,
    parameters: { batchBytes: batch.length, windowBytes: open.tail.windowBytes },
    operation: 'batches',
    operations: APPENDS_PER_CALL,
    bytes: APPENDS_PER_CALL * batch.length,
    call: () => appendMany(open, batch, APPENDS_PER_CALL),
    digest: () => {
      const fresh = openLog(plan);
      appendMany(fresh, batch, APPENDS_DIGESTED);
      return digestOf(fresh.tail.at(0, Math.min(fresh.log.appended, fresh.tail.windowBytes)));
    },
  };
}
