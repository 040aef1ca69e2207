/**
 * Where what happens to groups is written down: on a master in its log, on a slave, whose log is its master's, in the journal
 * (settled-journal.ts).
 */
import type {
  ControlWriter,
  GroupPosition,
  OffsetRange,
  RetryRange,
} from '../log/control-record.ts';

export interface GroupLog {
  settled(groupId: number, topicId: number, queueId: number, ranges: readonly OffsetRange[]): void;
  retry(groupId: number, topicId: number, queueId: number, ranges: readonly RetryRange[]): void;
  positions(positions: readonly GroupPosition[]): void;
}

/** The log itself. */
export class ControlLog implements GroupLog {
  private readonly control: ControlWriter;

  constructor(control: ControlWriter) {
    this.control = control;
  }

  settled(groupId: number, topicId: number, queueId: number, ranges: readonly OffsetRange[]): void {
    this.control.settled(groupId, topicId, queueId, ranges);
  }

  retry(groupId: number, topicId: number, queueId: number, ranges: readonly RetryRange[]): void {
    this.control.retry(groupId, topicId, queueId, ranges);
  }

  positions(positions: readonly GroupPosition[]): void {
    this.control.positions(positions);
  }
}
