/**
 * A stream cut into lines, as bytes. Memory is bounded: the stream is read only as fast as lines are taken, and a line
 * that is too long is counted and thrown away, not gathered.
 */

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BYTE_ORDER_MARK: readonly number[] = [0xef, 0xbb, 0xbf];

export type Line = {
  /** From 1. */
  readonly number: number;
  /** Without its end; empty when it is too long. @shape valid until the next line is asked for */
  readonly bytes: Uint8Array;
  /** Bytes that it has. */
  readonly length: number;
  readonly isTooLong: boolean;
};

/**
 * The lines of a stream, those of one chunk together.
 *
 * @param lengthMax - bytes of a line; longer ones come without their bytes
 */
export async function* readLines(
  source: AsyncIterable<Uint8Array | string>,
  lengthMax: number,
): AsyncGenerator<Line[], void> {
  const gatherer = new LineGatherer(lengthMax);
  for await (const chunk of source) {
    const lines = gatherer.add(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
    if (lines.length > 0) yield lines;
  }
  const last = gatherer.end();
  if (last !== undefined) yield [last];
}

class LineGatherer {
  private readonly lengthMax: number;
  /** Pieces of the line that has not ended yet. */
  private pieces: Uint8Array[] = [];
  private length = 0;
  private number = 0;

  constructor(lengthMax: number) {
    this.lengthMax = lengthMax;
  }

  add(chunk: Uint8Array): Line[] {
    const lines: Line[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, start);
      if (end < 0) break;
      lines.push(this.finish(chunk.subarray(start, end)));
      start = end + 1;
    }
    if (start < chunk.length) this.keep(chunk.subarray(start));
    return lines;
  }

  end(): Line | undefined {
    return this.length === 0 ? undefined : this.finish(new Uint8Array(0));
  }

  private keep(piece: Uint8Array): void {
    this.length += piece.length;
    if (this.length <= this.lengthMax) this.pieces.push(piece.slice());
    else this.pieces = [];
  }

  private finish(rest: Uint8Array): Line {
    this.number += 1;
    const total = this.length + rest.length;
    const isTooLong = total > this.lengthMax;
    const bytes = isTooLong ? new Uint8Array(0) : this.joined(rest);
    this.pieces = [];
    this.length = 0;
    return { number: this.number, bytes, length: total, isTooLong };
  }

  private joined(rest: Uint8Array): Uint8Array {
    const whole = this.pieces.length === 0 ? rest : Buffer.concat([...this.pieces, rest]);
    const start =
      this.number === 1 && BYTE_ORDER_MARK.every((byte, at) => whole[at] === byte) ? 3 : 0;
    const end = whole.at(-1) === CARRIAGE_RETURN ? whole.length - 1 : whole.length;
    return whole.subarray(start, Math.max(start, end));
  }
}
