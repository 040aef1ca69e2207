/** What a terminal can do: colours, and a line that is written over. Nothing of it when the stream is no terminal. */
import { systemClock } from '../base/clock.ts';

export type Colour = 'red' | 'green' | 'yellow' | 'bold' | 'dim';

const CODES: Readonly<Record<Colour, string>> = {
  red: '\u001b[31m',
  green: '\u001b[32m',
  yellow: '\u001b[33m',
  bold: '\u001b[1m',
  dim: '\u001b[2m',
};
const PLAIN = '\u001b[0m';
const ERASE_LINE = '\r\u001b[2K';

/** Milliseconds between two states of a progress line: more cannot be read. */
const PROGRESS_INTERVAL_MS = 100;
const BAR_CELLS = 24;

type Terminal = Pick<NodeJS.WriteStream, 'isTTY' | 'write'>;

/** @source https://no-color.org: set and not empty */
export function hasColours(stream: Pick<NodeJS.WriteStream, 'isTTY'>): boolean {
  return stream.isTTY === true && !process.env['NO_COLOR'];
}

/** `text` in a colour where the stream shows colours. */
export function paint(
  stream: Pick<NodeJS.WriteStream, 'isTTY'>,
  colour: Colour,
  text: string,
): string {
  return hasColours(stream) ? `${CODES[colour]}${text}${PLAIN}` : text;
}

/** A line on stderr that tells how far long work has come; silent when stderr is no terminal. */
export class Progress {
  private readonly stream: Terminal;
  private shownAtMs = Number.NEGATIVE_INFINITY;
  private isShown = false;

  constructor(isWanted: boolean, stream: Terminal = process.stderr) {
    this.stream = isWanted ? stream : { isTTY: false, write: () => true };
  }

  /**
   * @param text - called only when it is shown
   * @param ratio - how much is done, 0 to 1; undefined when nobody knows how much there is
   */
  update(text: () => string, ratio?: number): void {
    if (this.stream.isTTY !== true) return;
    const nowMs = systemClock.monotonicMs();
    if (nowMs - this.shownAtMs < PROGRESS_INTERVAL_MS) return;
    this.shownAtMs = nowMs;
    this.isShown = true;
    const bar = ratio === undefined ? '' : `${barOf(ratio)} ${Math.floor(ratio * 100)} %  `;
    this.stream.write(`${ERASE_LINE}${bar}${text()}`);
  }

  /** Takes the line away, before anything else is written. */
  clear(): void {
    if (!this.isShown) return;
    this.isShown = false;
    this.stream.write(ERASE_LINE);
  }
}

function barOf(ratio: number): string {
  const full = Math.round(Math.min(1, Math.max(0, ratio)) * BAR_CELLS);
  return `[${'='.repeat(full)}${' '.repeat(BAR_CELLS - full)}]`;
}
