/**
 * A slave while its master is away: it serves the groups that its log knows, writes what they settle into the journal, hands the
 * journal over when it follows again, and forgets it once the log has it. Leases are its own, and end with the time alone. Shard
 * thread.
 */
import { SETTLED_HAND_OVER_RECORDS } from '../base/limits.ts';
import type { SettledRecord } from '../log/settled-file.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { SettledPage } from '../protocol/shard-control.ts';
import type { ControlReply } from './control-path.ts';
import type { GroupTable } from './group-table.ts';
import type { SettleReply } from './settle-path.ts';
import type { SettledJournal } from './settled-journal.ts';
import type { ShardContext } from './shard-context.ts';

/** Leases of a slave begin here, and so many belong to each of its periods: above all that a master ever gives. */
const LEASES_FROM: number = 2 ** 52;
const LEASES_PER_PERIOD: number = 2 ** 32;

export type SlaveStationOptions = {
  readonly context: ShardContext;
  readonly journal: SettledJournal;
  readonly groups: GroupTable;
  /** Deliveries begin: the first of their leases has this number. */
  readonly onServe: (firstLease: number) => void;
  readonly onFault: (error: { readonly message: string }) => void;
};

export class SlaveStation {
  isServing = false;
  private readonly options: SlaveStationOptions;
  private readonly journal: SettledJournal;
  private hasBegun = false;
  /** What is being handed over: nothing is added meanwhile. */
  private handingOver: readonly SettledRecord[] = [];
  /** The log has all of the journal where it ends here; -1: nobody has said so. */
  private loggedEnd = -1;

  constructor(options: SlaveStationOptions) {
    this.options = options;
    this.journal = options.journal;
  }

  /** May messages go out? Not before the number of this period is on the disk. */
  get mayDeliver(): boolean {
    return this.isServing && this.journal.isBegun;
  }

  get isFull(): boolean {
    return this.journal.isFull;
  }

  /** There is no master. */
  begin(): void {
    this.isServing = true;
    this.hasBegun = false;
    this.loggedEnd = -1;
    this.journal.begin(this.options.context.commit);
    this.options.groups.watchAll();
  }

  /** There is one again: leases end, and nothing is settled here any more. */
  end(): void {
    if (!this.isServing) return;
    this.isServing = false;
    this.options.groups.leaveAll();
  }

  /** @returns work done */
  doWork(): number {
    const { context, onServe, onFault } = this.options;
    if (this.mayDeliver && !this.hasBegun) {
      this.hasBegun = true;
      const period = this.journal.periodNumber % (LEASES_FROM / LEASES_PER_PERIOD);
      onServe(LEASES_FROM + period * LEASES_PER_PERIOD);
    }
    if (this.loggedEnd >= 0 && this.isLogged(this.loggedEnd)) {
      this.loggedEnd = -1;
      this.handingOver = [];
      this.journal.empty();
    }
    return this.journal.doWork(context, onFault);
  }

  /** Answers that leave when the journal has what they are about. */
  answerLater(settles: readonly SettleReply[], controls: readonly ControlReply[]): void {
    const { ports } = this.options.context;
    for (const { port, session, correlation } of settles)
      this.journal.answer((error) => {
        const request = envelope.REQUEST_SETTLE;
        return error === undefined
          ? ports[port]?.settled(session, correlation) !== false
          : ports[port]?.failed(session, correlation, request, error.code, error.message) !== false;
      });
    for (const { port, session, correlation, result } of controls)
      this.journal.answer((error) => {
        const request = envelope.REQUEST_CONTROL;
        return error === undefined
          ? ports[port]?.control(session, correlation, result) !== false
          : ports[port]?.failed(session, correlation, request, error.code, error.message) !== false;
      });
  }

  /** A part of the journal. The first begins a new attempt: whatever a former one was told does not count any more. */
  page(from: number): SettledPage {
    if (from === 0) {
      this.end();
      this.loggedEnd = -1;
      this.handingOver = this.journal.records();
    }
    const to = from + SETTLED_HAND_OVER_RECORDS;
    const records = this.handingOver.slice(from, to);
    return { records, isLast: to >= this.handingOver.length };
  }

  /** All of it is in the log of the master, below `end`; here it counts once this log has come that far, for good. */
  logged(end: number): void {
    this.loggedEnd = this.journal.isEmpty ? -1 : end;
  }

  private isLogged(end: number): boolean {
    const { commit, log } = this.options.context;
    return commit >= end && log.flushed >= end;
  }
}
