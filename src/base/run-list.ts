/** Runs of whole numbers that do not overlap, in order and found by number. Tens of thousands come and go anywhere. */

/** Runs of one piece: what an addition moves at most. */
const PIECE_RUNS = 512;

export class RunList<Run extends { readonly start: number; readonly end: number }> {
  /** In order, none empty. */
  private pieces: Run[][] = [];
  /** Number of runs. */
  size = 0;

  add(run: Run): void {
    this.size += 1;
    const at = Math.max(0, this.pieceOf(run.start));
    const piece = this.pieces[at];
    if (piece === undefined) {
      this.pieces.push([run]);
      return;
    }
    piece.splice(indexOf(piece, run.start), 0, run);
    if (piece.length > PIECE_RUNS) this.pieces.splice(at + 1, 0, piece.splice(PIECE_RUNS / 2));
  }

  /** Takes out a run that was added; its end may have changed since. */
  delete(run: Run): void {
    const at = this.pieceOf(run.start);
    const piece = this.pieces[at];
    const index = piece?.indexOf(run, indexOf(piece, run.start)) ?? -1;
    if (piece === undefined || index < 0) return;
    this.size -= 1;
    piece.splice(index, 1);
    if (piece.length === 0) this.pieces.splice(at, 1);
  }

  /** The run with the lowest numbers. */
  first(): Run | undefined {
    return this.pieces[0]?.[0];
  }

  /** The runs that have a number from `start` (inclusive) to `end` (exclusive), in order. */
  within(start: number, end: number): Run[] {
    const found: Run[] = [];
    const from = Math.max(0, this.pieceOf(start));
    for (let at = from; at < this.pieces.length; at += 1) {
      const piece = this.pieces[at] as Run[];
      // The one before may reach into it.
      const first = at === from ? Math.max(0, indexOf(piece, start) - 1) : 0;
      for (let index = first; index < piece.length; index += 1) {
        const run = piece[index] as Run;
        if (run.start >= end) return found;
        if (run.end > start) found.push(run);
      }
    }
    return found;
  }

  /** All of them, in order. */
  all(): Run[] {
    return this.pieces.flat();
  }

  clear(): void {
    this.pieces = [];
    this.size = 0;
  }

  /** The last piece that begins at or below `number`; -1 when none does. */
  private pieceOf(number: number): number {
    let low = 0;
    let high = this.pieces.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const [first] = this.pieces[middle] as [Run];
      if (first.start <= number) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** The first run of a piece that begins at or above `number`. */
function indexOf<Run extends { readonly start: number }>(
  piece: readonly Run[],
  number: number,
): number {
  let low = 0;
  let high = piece.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((piece[middle] as Run).start < number) low = middle + 1;
    else high = middle;
  }
  return low;
}
