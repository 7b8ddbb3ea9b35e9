/** Metrics by step in bounded room: a row stands for one step, or for several with their mean, lowest, highest. */

import { folded } from "./folding";
import { MOST_ROWS, StepRows } from "./step-rows";
import type { Metrics, StepRecord } from "./types";

/** Step metrics that the page draws or shows; others are left where they are. */
export const METRICS = [
  "loss",
  "valid_loss",
  "full_valid_loss",
  "probe_loss",
  "train_mean_token_accuracy",
  "valid_mean_token_accuracy",
  "full_valid_mean_token_accuracy",
  "learning_rate",
  "grad_norm",
  "tokens",
  "tokens_per_second",
  "memory_bytes",
] as const;
export type Metric = (typeof METRICS)[number];

/** What is drawn as a curve of its own, and what tells the same of rows that are not learnt from. */
export const CURVES = {
  loss: { title: "Loss", train: "loss", interval: "valid_loss", full: "full_valid_loss", probe: "probe_loss" },
  accuracy: {
    title: "Token accuracy",
    train: "train_mean_token_accuracy",
    interval: "valid_mean_token_accuracy",
    full: "full_valid_mean_token_accuracy",
    probe: null,
  },
} as const satisfies Record<string, { title: string; train: Metric; interval: Metric; full: Metric; probe: Metric | null }>;

type Values = (number | null)[];
type Columns = Record<Metric, Values>;

export class MetricSeries extends StepRows {
  /** When that step ended, in Unix seconds. */
  times: number[] = [];
  mean: Columns = columns();
  low: Columns = columns();
  high: Columns = columns();

  /** Takes what the service answered in place of what was there. */
  load(answer: Metrics): void {
    this.place(answer.steps, answer.count);
    this.times = answer.time;
    const rows = answer.steps.length;
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

  /** The newest known value. */
  newest(metric: Metric): number | null {
    return this.mean[metric].findLast((value) => value !== null) ?? null;
  }

  /** Tokens up to the end of each row, of which the loss was taken. */
  tokensSoFar(): number[] {
    let sum = 0;
    return this.mean.tokens.map((mean, row) => (sum += (mean ?? 0) * this.count(row)));
  }

  #fold(): void {
    const rows = this.length;
    const { counts, starts } = this.folds();
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

/** The curves of held-out rows, two at most. Until a job is measured on its validation rows, the probes tell of such. */
export function heldOut(metrics: MetricSeries, curve: keyof typeof CURVES): { metric: Metric; name: string }[] {
  const { interval, full, probe } = CURVES[curve];
  const told = (metric: Metric) => metrics.newest(metric) !== null;
  if (told(interval)) return [{ metric: interval, name: "validation" }, ...(told(full) ? [{ metric: full, name: "at checkpoints" }] : [])];
  if (told(full)) return [{ metric: full, name: "validation" }];
  return probe !== null && told(probe) ? [{ metric: probe, name: "held out" }] : [];
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
