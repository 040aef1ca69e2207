/** Progress on a terminal: a few lines that are drawn over themselves. Nothing where there is no terminal. */
import type { WriteStream } from 'node:tty';

const BAR = 40;

/** What is shown. Counts are since the start. */
export type Sight = {
  readonly records: number;
  readonly acked: number;
  readonly consumed: number;
  readonly duplicates: number;
  readonly broker: string;
};

export class Screen {
  readonly #stream: WriteStream;
  readonly #look: () => Sight;
  #timer: NodeJS.Timeout | undefined;
  #linesDrawn = 0;
  #before: { sight: Sight; atMs: number };

  /** @param look - called five times a second */
  constructor(stream: WriteStream, look: () => Sight) {
    this.#stream = stream;
    this.#look = look;
    this.#before = { sight: look(), atMs: performance.now() };
    if (stream.isTTY) this.#timer = setInterval(() => this.draw(), 200);
  }

  draw(): void {
    if (!this.#stream.isTTY) return;
    const sight = this.#look();
    const atMs = performance.now();
    const seconds = Math.max(0.001, (atMs - this.#before.atMs) / 1000);
    const rate = (now: number, before: number): string =>
      `${Math.round((now - before) / seconds).toLocaleString('en')}/s`.padStart(12);
    const was = this.#before.sight;
    this.#before = { sight, atMs };
    const lines = [
      `sent      ${bar(sight.acked, sight.records)} ${rate(sight.acked, was.acked)}`,
      `consumed  ${bar(sight.consumed, sight.records)} ${rate(sight.consumed, was.consumed)}`,
      `backlog   ${Math.max(0, sight.acked - sight.consumed).toLocaleString('en')}   came again ${sight.duplicates.toLocaleString('en')}   broker ${sight.broker}`,
    ];
    const up = this.#linesDrawn === 0 ? '' : `\u001b[${this.#linesDrawn}A`;
    this.#stream.write(`${up}${lines.map((line) => `\u001b[2K${line}\n`).join('')}`);
    this.#linesDrawn = lines.length;
  }

  close(): void {
    clearInterval(this.#timer);
    this.draw();
  }
}

function bar(value: number, of: number): string {
  const full = of === 0 ? BAR : Math.floor((BAR * Math.min(value, of)) / of);
  return `${'█'.repeat(full)}${'░'.repeat(BAR - full)} ${value.toLocaleString('en').padStart(9)}`;
}
