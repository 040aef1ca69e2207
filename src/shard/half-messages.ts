/**
 * Half messages of transactions: their end, told by their producers or by operators, and which of them wait. Both answers to
 * the same request are the same, and true after a crash. Shard thread; never blocks.
 */
import { PRODUCER_GROUP_PROPERTY } from '../base/limits.ts';
import { CONTROL_DROP, DROP_ALL, DROP_ROLLED_BACK, deferredEntry } from '../log/deferred-record.ts';
import type { BatchReader } from '../protocol/batch/batch-reader.ts';
import type {
  EndOutcome,
  EndResult,
  HalfList,
  HalfLocation,
  ShardControlRequest,
} from '../protocol/shard-control.ts';
import type { Finish } from './control-path.ts';
import type { DeferredFields } from './deferred-columns.ts';
import type { DeferredPath } from './deferred-path.ts';
import { type DeferredQueries, LIST_BYTES_MAX } from './deferred-queries.ts';
import type { ShardContext } from './shard-context.ts';

type RequestOf<Op extends ShardControlRequest['op']> = Extract<ShardControlRequest, { op: Op }>;

export class HalfMessages {
  private readonly context: ShardContext;
  private readonly path: DeferredPath;
  private readonly queries: DeferredQueries;

  constructor(context: ShardContext, path: DeferredPath, queries: DeferredQueries) {
    this.context = context;
    this.path = path;
    this.queries = queries;
  }

  /**
   * @param finish - answers where nothing is decided
   * @param written - answers when all that this shard has decided so far is safe
   */
  end(
    request: RequestOf<'endTransaction'>,
    finish: Finish,
    written: (result: unknown) => void,
  ): void {
    const { table } = this.context.state.deferred;
    const origin = this.originOf(request.place);
    if (request.group === undefined || origin === undefined) {
      this.decide(request, finish, written);
      return;
    }
    let group: string | undefined;
    this.queries.readInTurn(
      [table.get(table.rowOf(origin))],
      (_, reader) => {
        if (reader.next()) group = reader.properties[PRODUCER_GROUP_PROPERTY] ?? '';
        return false;
      },
      (error) => {
        if (error !== undefined) finish(undefined, error);
        // One that is damaged is nobody's any more: whoever ends it takes it off the list.
        else if (group !== undefined && group !== request.group)
          finish({ outcome: 'wrongGroup' } satisfies EndResult);
        else this.decide(request, finish, written);
      },
    );
  }

  private decide(
    { place, isCommit }: RequestOf<'endTransaction'>,
    finish: Finish,
    written: (result: unknown) => void,
  ): void {
    const { deferred } = this.context.state;
    const { table } = deferred;
    const answer = (outcome: EndOutcome): void => written({ outcome } satisfies EndResult);
    const origin = this.originOf(place);
    if (origin === undefined) {
      const isCommitted = deferred.wasCommitted(place);
      answer(isCommitted === undefined ? 'notFound' : isCommitted ? 'committed' : 'rolledBack');
      return;
    }
    // What was decided first holds, whatever is asked for now.
    if (isCommit || this.path.isCommitting(origin)) {
      const { refusal } = this.context;
      // Without room for the copy that a commit needs nothing is decided.
      if (refusal !== undefined) {
        finish(undefined, { code: refusal.code, message: refusal.text });
        return;
      }
      this.path.commitHalf(table.rowOf(origin), answer);
      return;
    }
    const entry = deferredEntry(origin, DROP_ALL, DROP_ROLLED_BACK);
    this.context.control.deferred(CONTROL_DROP, [entry]);
    deferred.applyEntry(CONTROL_DROP, entry);
    answer('rolledBack');
  }

  /** Of the half message that was stored at this position and is not ended. */
  private originOf(place: number): number | undefined {
    const { table } = this.context.state.deferred;
    const origin = table.originOf(place);
    return origin !== undefined && table.get(table.rowOf(origin)).isHalf ? origin : undefined;
  }

  list({ max, onlyParked }: RequestOf<'listHalf'>, finish: Finish): void {
    const { table } = this.context.state.deferred;
    const all: DeferredFields[] = [];
    for (const row of table.rows()) {
      const one = table.get(row);
      if (one.isHalf && !(onlyParked && Number.isFinite(one.dueAtMs))) all.push(one);
    }
    all.sort((one, other) => one.origin - other.origin);
    const messages: HalfLocation[] = [];
    let bytes = 0;
    this.queries.readInTurn(
      all.slice(0, max),
      (one, reader) => {
        if (!reader.next()) return true;
        const message = located(one, reader);
        messages.push(message);
        bytes += JSON.stringify(message).length;
        return bytes < LIST_BYTES_MAX;
      },
      (error) => finish({ messages, waiting: all.length } satisfies HalfList, error),
    );
  }
}

function located(one: DeferredFields, reader: BatchReader): HalfLocation {
  return {
    ...{ topicId: one.topicId, queueId: one.queueId, origin: one.origin, checks: one.checks },
    group: reader.properties[PRODUCER_GROUP_PROPERTY] ?? '',
    ...{ key: reader.key, tag: reader.tag, bornAt: reader.bornAtMs },
    nextCheckAt: Number.isFinite(one.dueAtMs) ? one.dueAtMs : null,
  };
}
