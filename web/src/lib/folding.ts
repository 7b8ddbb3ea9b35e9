/** Makes few rows of many, so that no part of a series becomes much coarser than another.
 *
 * A row stands for a number of steps. Neighbours become one while together they stand for no more than a bucket, whose
 * size grows with the series: what is coarse already stays as it is, what is fine is drawn together. */

/** The first row of each new row, for at most about half of `most` rows. */
export function foldStarts(counts: readonly number[], most: number): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  // Two neighbours that were not joined hold more than a bucket: rows < 2 * total / bucket + 1.
  const bucket = 2 ** Math.ceil(Math.log2((4 * total) / most));
  const starts: number[] = [];
  let held = Infinity;
  counts.forEach((count, row) => {
    if (held + count > bucket) {
      starts.push(row);
      held = 0;
    }
    held += count;
  });
  return starts;
}

/** One value for each new row, from its first row to its last (both counted). */
export function folded<T>(starts: readonly number[], rows: number, fold: (first: number, last: number) => T): T[] {
  return starts.map((first, at) => fold(first, (starts[at + 1] ?? rows) - 1));
}
