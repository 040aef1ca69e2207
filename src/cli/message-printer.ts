/** Messages on stdout: the frame as it came, or a line for people; and who is told once stdout has taken it. */
import type { AnyAnswer } from '../client/answers.ts';
import { escapeControl } from '../observe/log-text.ts';
import { paint } from './terminal.ts';

/** Characters of a body that a person is shown of one message. */
const BODY_SHOWN_MAX = 2000;

type Out = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'once'>;

export class MessagePrinter {
  private readonly out: Out;
  private readonly isJson: boolean;
  /** Messages that stdout has taken. */
  printedCount = 0;

  constructor(out: Out, isJson: boolean) {
    this.out = out;
    this.isJson = isJson;
  }

  /**
   * @param text - the frame
   * @param done - called when stdout has the line; with an error when it never will
   * @returns false when stdout wants a pause; `onDrain` tells when it is over
   */
  print(text: string, frame: AnyAnswer, done: (error: Error | undefined) => void): boolean {
    const line = this.isJson ? text : personText(this.out, frame);
    return this.out.write(`${line}\n`, (error) => {
      if (error === null || error === undefined) this.printedCount += 1;
      done(error ?? undefined);
    });
  }

  onDrain(action: () => void): void {
    this.out.once('drain', action);
  }
}

/** `2:17  created  o-17  {"total":12}`: queue and offset, tag, key, body. */
function personText(out: Out, frame: AnyAnswer): string {
  const name = (value: unknown): string => (typeof value === 'string' ? escapeControl(value) : '-');
  const broker = frame['broker'] === undefined ? '' : `${name(frame['broker'])} `;
  const at = `${broker}${String(frame['queueId'])}:${String(frame['queueOffset'])}`;
  const place = paint(out, 'dim', at);
  const attempt = Number(frame['attempt']) > 1 ? `  (attempt ${String(frame['attempt'])})` : '';
  return `${place}  ${name(frame['tag'])}  ${name(frame['key'])}  ${bodyText(frame['body'])}${attempt}`;
}

function bodyText(body: unknown): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const shown = text.length <= BODY_SHOWN_MAX ? text : `${text.slice(0, BODY_SHOWN_MAX)}…`;
  return escapeControl(shown);
}
