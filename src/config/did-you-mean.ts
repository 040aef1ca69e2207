/** The known name that a mistyped one is nearest to. Control path. */

/** Letters that differ before a name counts as another name; short names are less alike by accident. */
function editsMax(name: string): number {
  return name.length <= 5 ? 1 : 2;
}

/**
 * Letters to insert, remove, replace, or swap with their neighbour.
 *
 * @source optimal string alignment distance
 */
function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1];
      let edits = Math.min(
        (last[column - 1] ?? 0) + (same ? 0 : 1),
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
      );
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (row > 1 && column > 1 && swapped) {
        edits = Math.min(edits, (beforeLast[column - 2] ?? 0) + 1);
      }
      current.push(edits);
    }
    beforeLast = last;
    last = current;
  }
  return last[to.length] ?? 0;
}

/** The nearest of `known`, upper and lower case alike; undefined when none is near. */
export function didYouMean(written: string, known: readonly string[]): string | undefined {
  // A key of a kilobyte is like nothing we know, and the distance takes quadratic time.
  if (written.length > 64) return undefined;
  let nearest: string | undefined;
  let editsLeast = editsMax(written) + 1;
  for (const name of known) {
    const edits = editDistance(written.toLowerCase(), name.toLowerCase());
    if (edits < editsLeast) {
      nearest = name;
      editsLeast = edits;
    }
  }
  return nearest;
}
