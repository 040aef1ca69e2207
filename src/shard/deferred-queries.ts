/**
 * Which delayed messages wait, and that some shall not come. Keys are known by their hash, so the batches are read before
 * anything is said or dropped, many with one side job. Shard thread; never blocks.
 */
import { fnv1a } from '../base/fnv1a.ts';
import { KIB, MIB } from '../base/units.ts';
import { CONTROL_DROP, DROP_CANCELLED, deferredEntry } from '../log/deferred-record.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import type {
  CancelResult,
  DelayedList,
  DelayedLocation,
  MessageLocation,
  ShardControlRequest,
} from '../protocol/shard-control.ts';
import type { Finish } from './control-path.ts';
import type { DeferredFields } from './deferred-columns.ts';
import type { DeferredState } from './deferred-state.ts';
import { NO_ROW } from './deferred-table.ts';
import { chunkBytesOf } from './shard-config.ts';
import type { ShardContext } from './shard-context.ts';
import { Turns } from './turns.ts';

type RequestOf<Op extends ShardControlRequest['op']> = Extract<ShardControlRequest, { op: Op }>;
/** Looks for a message with a key that can be seen. */
type FindKey = (topicId: number, key: string, finish: Finish) => void;

/** Bytes of a list as JSON, beside one batch: it must fit the reply ring with room for others. */
export const LIST_BYTES_MAX: number = 64 * KIB;
/** Bytes of batches that are read with one job. */
const READ_BYTES: number = MIB;

/** One message to be cancelled, and how that is answered. */
type CancelOne = {
  readonly topicId: number;
  /** Position of the batch when it was stored, and the index of the message in it. */
  readonly place: number;
  /** Nothing was changed. */
  readonly answer: (outcome: CancelResult['outcome']) => void;
  readonly finish: Finish;
  /** When what was decided is safe. */
  readonly done: (cancelled: CancelResult['cancelled']) => void;
};

export class DeferredQueries {
  private readonly context: ShardContext;
  private readonly deferred: DeferredState;
  private readonly findKey: FindKey;
  private readonly reader = new BatchReader();
  /** One at a time reads, so that requests of clients do not become as many side jobs. */
  private readonly turns = new Turns();

  constructor(context: ShardContext, findKey: FindKey) {
    this.context = context;
    this.deferred = context.state.deferred;
    this.findKey = findKey;
  }

  list(request: RequestOf<'listDelayed'>, finish: Finish): void {
    this.turns.take((over) =>
      this.listNow(request, (result, error) => {
        over();
        finish(result, error);
      }),
    );
  }

  private listNow({ topicId, key, max }: RequestOf<'listDelayed'>, finish: Finish): void {
    const { found, waiting } = this.candidates(topicId, key, max);
    const messages: DelayedLocation[] = [];
    let bytes = 0;
    this.read(
      found,
      (one) => {
        for (const message of this.messagesOf(one)) {
          if (key !== null && message.key !== key) continue;
          messages.push(message);
          bytes += JSON.stringify(message).length;
        }
        return messages.length < max && bytes < LIST_BYTES_MAX;
      },
      (error) => {
        const result: DelayedList = { messages: fitting(messages.slice(0, max)), waiting };
        finish(result, error);
      },
    );
  }

  /**
   * @param finish - tells why it cannot be answered
   * @param written - answers when all that this shard has decided so far is safe: an answer must be true after a crash too
   */
  cancel(
    request: RequestOf<'cancelDelayed'>,
    finish: Finish,
    written: (result: unknown) => void,
  ): void {
    this.turns.take((over) =>
      this.cancelNow(
        request,
        (result, error) => {
          over();
          finish(result, error);
        },
        (result) => {
          over();
          written(result);
        },
      ),
    );
  }

  /** Reads batches for somebody else, when it is their turn. @param visit - returns false when it has seen enough */
  readInTurn(
    batches: readonly DeferredFields[],
    visit: (one: DeferredFields, reader: BatchReader) => boolean,
    done: (error?: Parameters<Finish>[1]) => void,
  ): void {
    this.turns.take((over) =>
      this.read(
        batches,
        (one) => visit(one, this.reader),
        (error) => {
          over();
          done(error);
        },
      ),
    );
  }

  private cancelNow(
    request: RequestOf<'cancelDelayed'>,
    finish: Finish,
    written: (result: unknown) => void,
  ): void {
    const { topicId, key, place } = request;
    const done = (cancelled: CancelResult['cancelled']): void =>
      written({ outcome: 'cancelled', cancelled } satisfies CancelResult);
    if (key === null) {
      const answer = (outcome: CancelResult['outcome']): void =>
        written({ outcome, cancelled: [] } satisfies CancelResult);
      this.cancelOne({ topicId, place, answer, finish, done });
      return;
    }
    const found = this.withKey(topicId, key);
    const cancelled: { origin: number; index: number }[] = [];
    this.read(
      found,
      (one) => {
        for (const message of this.messagesOf(one)) {
          if (message.key !== key) continue;
          this.drop(message.origin, message.index, key);
          cancelled.push({ origin: message.origin, index: message.index });
        }
        return true;
      },
      (error) => {
        if (cancelled.length > 0) done(cancelled);
        else if (error !== undefined) finish(undefined, error);
        else this.answerByKey(topicId, key, finish, written);
      },
    );
  }

  /**
   * Nothing with this key waits (any more).
   *
   * @param until - end of the log when that was found out: a copy that is not written yet is looked for again
   */
  private answerByKey(
    topicId: number,
    key: string,
    finish: Finish,
    written: (result: unknown) => void,
    until: number = this.context.log.appended,
  ): void {
    if (this.deferred.wasKeyCancelled(topicId, fnv1a(key))) {
      written({ outcome: 'cancelled', cancelled: [] } satisfies CancelResult);
      return;
    }
    const { log } = this.context;
    const end = log.written;
    this.findKey(topicId, key, (locations, error) => {
      if (error !== undefined) {
        finish(undefined, error);
        return;
      }
      const isThere = ((locations as readonly MessageLocation[] | undefined) ?? []).length > 0;
      if (!isThere && end < until && this.context.fenced === undefined) {
        this.answerByKey(topicId, key, finish, written, until);
        return;
      }
      const outcome = isThere ? 'delivered' : 'notFound';
      written({ outcome, cancelled: [] } satisfies CancelResult);
    });
  }

  private cancelOne(wanted: CancelOne): void {
    const { topicId, place, answer } = wanted;
    const { table } = this.deferred;
    const origin = table.originOf(place);
    if (origin === undefined) {
      this.answerById(wanted);
      return;
    }
    const one = table.get(table.rowOf(origin));
    if (one.topicId !== topicId || one.isHalf) answer('notFound');
    else if (this.deferred.wasCancelled(place)) answer('cancelled');
    else this.dropOne(wanted, one);
  }

  /** Its key must be known, so that a later request by key is answered the same way; meanwhile its time may come. */
  private dropOne(wanted: CancelOne, one: DeferredFields): void {
    const index = wanted.place - one.origin;
    let isDropped = false;
    this.read(
      [one],
      (found) => {
        for (const message of this.messagesOf(found)) {
          if (message.index !== index) continue;
          this.drop(one.origin, index, message.key);
          isDropped = true;
        }
        return false;
      },
      (error) => {
        if (isDropped) wanted.done([{ origin: one.origin, index }]);
        else if (error !== undefined) wanted.finish(undefined, error);
        else this.answerById(wanted);
      },
    );
  }

  /** Nothing waits at this place (any more): the log says what was there. */
  private answerById({ topicId, place, answer, finish }: CancelOne): void {
    const { config, log } = this.context;
    if (this.deferred.wasCancelled(place)) answer('cancelled');
    // Not what is confirmed: a synchronous master that has just begun does not know yet how much of its log is, and the answer
    // waits until all of it is.
    else if (place >= log.written) answer('notFound');
    else {
      const shape = { segmentBytes: config.segmentBytes, chunkBytes: chunkBytesOf(config) };
      this.context.submit({ kind: 'locate', value: place, ...shape }, ({ found, error }) => {
        const [one] = found ?? [];
        if (error !== undefined) finish(undefined, error);
        else if (one?.isDeferred !== true || one.topicId !== topicId) answer('notFound');
        else answer('delivered');
      });
    }
  }

  private drop(origin: number, index: number, key: string): void {
    const hash = key === '' ? 0 : fnv1a(key);
    const entry = deferredEntry(origin, index, DROP_CANCELLED, hash);
    this.context.control.deferred(CONTROL_DROP, [entry]);
    this.deferred.applyEntry(CONTROL_DROP, entry);
  }

  /** Batches that may hold a message with this key, what is due first first. */
  private withKey(topicId: number, key: string): DeferredFields[] {
    const { table } = this.deferred;
    return table
      .rowsWithKey(topicId, fnv1a(key))
      .map((row) => table.get(row))
      .filter(({ isHalf }) => !isHalf)
      .sort(byDueTime);
  }

  /** Batches to be listed, what is due first first; and how many messages of the topic wait in all. */
  private candidates(
    topicId: number,
    key: string | null,
    max: number,
  ): { found: DeferredFields[]; waiting: number } {
    const { table } = this.deferred;
    let found: DeferredFields[] = [];
    let waiting = 0;
    for (const row of table.rowsOf(topicId)) {
      const one = table.get(row);
      if (one.isHalf) continue;
      waiting += one.count - (this.deferred.droppedOf(one.origin)?.size ?? 0);
      found.push(one);
      // Not all of a million are sorted where a hundred are shown.
      if (found.length > 4 * max) found = found.sort(byDueTime).slice(0, max);
    }
    found = key === null ? found.sort(byDueTime).slice(0, max) : this.withKey(topicId, key);
    return { found, waiting };
  }

  /** The messages of the batch that was just read, without those that were dropped. */
  private messagesOf(one: DeferredFields): DelayedLocation[] {
    const messages: DelayedLocation[] = [];
    const dropped = this.deferred.droppedOf(one.origin);
    while (this.reader.next()) {
      const { index, key, tag, bornAtMs } = this.reader;
      if (dropped?.has(index) === true) continue;
      messages.push({
        ...{ queueId: one.queueId, origin: one.origin, index, deliverAt: one.dueAtMs },
        ...{ key, tag, bornAt: bornAtMs },
      });
    }
    return messages;
  }

  /**
   * Opens the reader on one batch after another, those in memory at once and the others by side jobs. What has left the table
   * meanwhile, or is damaged, is passed over.
   *
   * @param visit - returns false when it has seen enough
   */
  private read(
    batches: readonly DeferredFields[],
    visit: (one: DeferredFields) => boolean,
    done: (error?: Parameters<Finish>[1]) => void,
  ): void {
    const { tail, log, config } = this.context;
    let next = 0;
    for (; next < batches.length; next += 1) {
      const one = this.current(batches[next] as DeferredFields);
      if (one === undefined) continue;
      if (one.position < log.hotStart) break;
      this.reader.open(
        tail.bytes,
        tail.view,
        tail.place(one.position) + layout.STORED_HEADER_BYTES,
      );
      if (!visit(one)) next = batches.length;
    }
    if (next >= batches.length) {
      done();
      return;
    }
    const part: DeferredFields[] = [];
    let bytes = 0;
    for (; next < batches.length && bytes < READ_BYTES; next += 1) {
      const one = this.current(batches[next] as DeferredFields);
      if (one === undefined) continue;
      if (part.length > 0 && one.position >= log.hotStart) break;
      bytes += one.bytes;
      part.push(one);
    }
    const rest = batches.slice(next);
    const extents = part.map(({ position, bytes: length }) => ({ position, bytes: length }));
    const { segmentBytes } = config;
    this.context.submit({ kind: 'read-batches', extents, segmentBytes }, (result) => {
      if (result.bytes === undefined) {
        done(result.error);
        return;
      }
      const damaged = new Set(result.damaged);
      const view = new DataView(result.bytes.buffer, result.bytes.byteOffset);
      let at = 0;
      let goesOn = true;
      for (const before of part) {
        const one = this.current(before);
        if (goesOn && one !== undefined && !damaged.has(before.position)) {
          this.reader.open(result.bytes, view, at + layout.STORED_HEADER_BYTES);
          goesOn = visit(one);
        }
        at += before.bytes;
      }
      if (goesOn) this.read(rest, visit, done);
      else done();
    });
  }

  /** The batch as it is in the table now. */
  private current({ origin }: DeferredFields): DeferredFields | undefined {
    const row = this.deferred.table.rowOf(origin);
    return row === NO_ROW ? undefined : this.deferred.table.get(row);
  }
}

function byDueTime(one: DeferredFields, other: DeferredFields): number {
  return one.dueAtMs - other.dueAtMs || one.origin - other.origin;
}

/** As many as an answer holds: one batch may have tens of thousands. */
function fitting(messages: readonly DelayedLocation[]): readonly DelayedLocation[] {
  let bytes = 0;
  const end = messages.findIndex((message) => {
    bytes += JSON.stringify(message).length;
    return bytes > 2 * LIST_BYTES_MAX;
  });
  return end < 0 ? messages : messages.slice(0, Math.max(1, end));
}
