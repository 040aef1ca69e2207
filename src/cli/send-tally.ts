/** What became of the messages of a `produce`: counted once each, reasons of refusals told a few times each. */
import { SluiceError } from '../base/errors.ts';

/** Lines about one kind of refusal; a file of a million wrong lines has one mistake. */
const TOLD_MAX = 3;

/** Counts, as they are printed. */
export type TallyReport = {
  readonly sent: number;
  readonly acked: number;
  readonly duplicates: number;
  readonly refused: number;
};

export class SendTally {
  /** Messages that were read and offered. */
  sent = 0;
  /** Of these, acknowledged by the broker: stored now or before. */
  acked = 0;
  /** Of these, stored before. */
  duplicates = 0;
  /** Not acknowledged: refused, or given up. */
  refused = 0;
  /** The first refusal that is not about one message: there is no use in going on. */
  fatal: SluiceError | undefined;
  private readonly told = new Map<string, number>();
  private readonly warn: (text: string) => void;

  constructor(warn: (text: string) => void) {
    this.warn = warn;
  }

  acknowledged(messageCount: number, isDuplicate: boolean): void {
    this.acked += messageCount;
    if (isDuplicate) this.duplicates += messageCount;
  }

  /** @param where - `line 7`, when it is about one line */
  refuse(messageCount: number, error: SluiceError, where?: string): void {
    this.refused += messageCount;
    if (!isAboutMessage(error)) this.fatal ??= error;
    const told = (this.told.get(error.code) ?? 0) + 1;
    this.told.set(error.code, told);
    if (told > TOLD_MAX) return;
    const what = where ?? `${messageCount} ${messageCount === 1 ? 'message' : 'messages'}`;
    const more = told === TOLD_MAX ? ' (further ones are only counted)' : '';
    this.warn(`${what}: ${error.code}  ${error.message}${more}`);
  }

  /** A line was too long to be looked at. */
  tooLong(bytes: number, bytesMax: number, where: string): void {
    const text = `the line has ${bytes} bytes; a message body has at most ${bytesMax}`;
    this.refuse(1, new SluiceError('MESSAGE_TOO_LARGE', text), where);
  }

  get isComplete(): boolean {
    return this.acked === this.sent;
  }

  report(): TallyReport {
    const { sent, acked, duplicates, refused } = this;
    return { sent, acked, duplicates, refused };
  }
}

/** Will the next message fare better? */
function isAboutMessage(error: SluiceError): boolean {
  return error.code === 'MESSAGE_TOO_LARGE' || error.code === 'INVALID_ARGUMENT';
}
