/** Metrics by step in bounded room: a row stands for one step, or for several with their mean, lowest, highest. */

import { folded, foldStarts } from "./folding";
import type { Metrics, StepRecord } from "./types";

/** Step metrics that the page draws or shows; others are left where they are. */
export const METRICS = [
  "loss",
  "valid_loss",
  "probe_loss",
  "learning_rate",
  "grad_norm",
  "tokens",
  "tokens_per_second",
  "memory_bytes",
] as const;
export type Metric = (typeof METRICS)[number];

type Values = (number | null)[];
type Columns = Record<Metric, Values>;

/** Beyond so many rows, neighbours become one. */
export const MOST_ROWS = 3000;

export class MetricSeries {
  /** The last step of each row; a row begins after the one before it. */
  steps: number[] = [];
  /** When that step ended, in Unix seconds. */
  times: number[] = [];
  mean: Columns = columns();
  low: Columns = columns();
  high: Columns = columns();
  /** The first step there is. */
  #start = 1;

  /** Takes what the service answered in place of what was there. */
  load(answer: Metrics): void {
    this.steps = answer.steps;
    this.times = answer.time;
    const rows = answer.steps.length;
    this.#start = (answer.steps[0] ?? 1) - (answer.count?.[0] ?? 1) + 1;
    for (const metric of METRICS) {
      const mean = answer.series[metric] ?? new Array<null>(rows).fill(null);
      this.mean[metric] = mean;
      this.low[metric] = answer.low?.[metric] ?? [...mean];
      this.high[metric] = answer.high?.[metric] ?? [...mean];
    }
  }

  /** Takes one step more; false when it is there already. */
  append(record: StepRecord): boolean {
    if (record.step <= this.last) return false;
    this.steps.push(record.step);
    this.times.push(record.time);
    for (const metric of METRICS) {
      const value = record.metrics[metric] ?? null;
      for (const column of [this.mean, this.low, this.high]) column[metric].push(value);
    }
    if (this.steps.length > MOST_ROWS) this.#fold();
    return true;
  }

  get length(): number {
    return this.steps.length;
  }

  /** The last step there is; 0 before the first. */
  get last(): number {
    return this.steps.at(-1) ?? 0;
  }

  /** How many steps a row stands for. */
  count(row: number): number {
    return countOf(this.steps, this.#start, row);
  }

  /** The newest known value. */
  newest(metric: Metric): number | null {
    return this.mean[metric].findLast((value) => value !== null) ?? null;
  }

  /** The row that holds a step, or the one nearest to it; -1 when there is none at all. */
  rowOf(step: number): number {
    return rowOf(this.steps, step);
  }

  /** Tokens up to the end of each row, of which the loss was taken. */
  tokensSoFar(): number[] {
    let sum = 0;
    return this.mean.tokens.map((mean, row) => (sum += (mean ?? 0) * this.count(row)));
  }

  #fold(): void {
    const rows = this.length;
    const counts = this.steps.map((_, row) => this.count(row));
    const starts = foldStarts(counts, MOST_ROWS);
    for (const metric of METRICS) {
      const [mean, low, high] = [this.mean[metric], this.low[metric], this.high[metric]];
      this.mean[metric] = folded(starts, rows, (first, last) => average(mean, counts, first, last));
      this.low[metric] = folded(starts, rows, (first, last) => extreme(low, Math.min, first, last));
      this.high[metric] = folded(starts, rows, (first, last) => extreme(high, Math.max, first, last));
    }
    this.times = folded(starts, rows, (_, last) => this.times[last] as number);
    this.steps = folded(starts, rows, (_, last) => this.steps[last] as number);
  }
}

/** The row whose steps hold `step`; the last row for a step beyond them; -1 without rows. */
export function rowOf(lasts: readonly number[], step: number): number {
  let low = 0;
  let high = lasts.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((lasts[middle] as number) >= step) high = middle;
    else low = middle + 1;
  }
  return high;
}

/** How many steps a row stands for, by the last step of each row and the first step of all. */
export function countOf(lasts: readonly number[], start: number, row: number): number {
  return (lasts[row] ?? 0) - (row > 0 ? (lasts[row - 1] as number) : start - 1);
}

function columns(): Columns {
  return Object.fromEntries(METRICS.map((metric) => [metric, [] as Values])) as Columns;
}

/** The mean of what is known, by the steps that each row stands for. */
function average(values: Values, counts: readonly number[], first: number, last: number): number | null {
  let [sum, weight] = [0, 0];
  for (let row = first; row <= last; row++) {
    const value = values[row] ?? null;
    if (value === null) continue;
    sum += value * (counts[row] as number);
    weight += counts[row] as number;
  }
  return weight > 0 ? sum / weight : null;
}

function extreme(values: Values, choose: (a: number, b: number) => number, first: number, last: number): number | null {
  return values.slice(first, last + 1).reduce((best, value) => (best === null || value === null ? (best ?? value) : choose(best, value)), null);
}
