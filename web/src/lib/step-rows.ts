/** Rows by step: each stands for one step, or for several that ended with the one it is named by. */

import { foldStarts } from "./folding";

/** Beyond so many rows, neighbours become one. */
export const MOST_ROWS = 3000;

export class StepRows {
  /** The last step of each row; a row begins after the one before it. */
  steps: number[] = [];
  /** The first step there is. */
  #start = 1;

  get length(): number {
    return this.steps.length;
  }

  /** The last step there is; 0 before the first. */
  get last(): number {
    return this.steps.at(-1) ?? 0;
  }

  /** How many steps a row stands for. */
  count(row: number): number {
    return (this.steps[row] ?? 0) - (row > 0 ? (this.steps[row - 1] as number) : this.#start - 1);
  }

  /** The row that holds a step; the last row for a step beyond them; -1 when there is none at all. */
  rowOf(step: number): number {
    let low = 0;
    let high = this.steps.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.steps[middle] as number) >= step) high = middle;
      else low = middle + 1;
    }
    return high;
  }

  /** Takes the rows' places from what the service answered. */
  protected place(steps: number[], counts: readonly number[] | null | undefined): void {
    this.steps = steps;
    this.#start = (steps[0] ?? 1) - (counts?.[0] ?? 1) + 1;
  }

  /** How many steps each row stands for, and the first row of each that they should become. */
  protected folds(): { counts: number[]; starts: number[] } {
    const counts = this.steps.map((_, row) => this.count(row));
    return { counts, starts: foldStarts(counts, MOST_ROWS) };
  }
}
