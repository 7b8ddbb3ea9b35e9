/** Several jobs side by side: their losses on one axis, what differs in them, which learn from the same data. */

import { flat } from "./configuration";
import { changes } from "./evaluation";
import type { ImportanceSeries } from "./importance-series";
import type { MetricSeries } from "./metric-series";
import { smooth } from "./smoothing";
import type { Job } from "./types";

export const MOST = 8;
export type CompareAxis = "step" | "time" | "tokens";

export interface Compared {
  job: Job;
  /** The training file's SHA-256; null: the file is gone. */
  hash: string | null;
  filename: string;
  metrics: MetricSeries;
  importance: ImportanceSeries;
}

export interface Group {
  hash: string | null;
  filename: string;
  jobs: Compared[];
}

/** Jobs by the data they learn from, in the order in which each data first comes. */
export function groups(compared: readonly Compared[]): Group[] {
  const found = new Map<string, Group>();
  for (const one of compared) {
    const key = one.hash ?? one.job.training_file;
    const group = found.get(key) ?? { hash: one.hash, filename: one.filename, jobs: [] };
    group.jobs.push(one);
    found.set(key, group);
  }
  return [...found.values()];
}

/** The x of each of a job's rows, and its smoothed loss there. */
export function curve(metrics: MetricSeries, axis: CompareAxis, smoothing: number): [number[], (number | null)[]] {
  const start = metrics.times[0] ?? 0;
  const places = {
    step: () => metrics.steps,
    time: () => metrics.times.map((time) => time - start),
    tokens: () => metrics.tokensSoFar(),
  }[axis]();
  return [places, smooth(metrics.mean.loss, smoothing)];
}

/** All curves on the x values of all of them, with null where one has no point. */
export function joined(curves: readonly [number[], (number | null)[]][]): [number[], ...(number | null)[][]] {
  const places = [...new Set(curves.flatMap(([xs]) => xs))].sort((a, b) => a - b);
  const at = new Map(places.map((x, row) => [x, row]));
  const columns = curves.map(([xs, ys]) => {
    const column = new Array<number | null>(places.length).fill(null);
    xs.forEach((x, row) => (column[at.get(x) as number] = ys[row] ?? null));
    return column;
  });
  return [places, ...columns];
}

/** The last value at or before an x; null: there is none yet. */
export function valueAt([xs, ys]: readonly [number[], (number | null)[]], x: number): number | null {
  const row = xs.findLastIndex((place) => place <= x);
  return row < 0 ? null : (ys.slice(0, row + 1).findLast((value) => value !== null) ?? null);
}

export interface Row {
  name: string;
  /** One a job, in their order. */
  values: string[];
}

/** The settings in which not all of the jobs are the same. */
export function differences(jobs: readonly Job[]): Row[] {
  return rowsOf(jobs.map((job) => flat(job.spec))).filter(({ values }) => new Set(values).size > 1);
}

/** What the jobs were judged by, before and after; none when none was judged. */
export function results(jobs: readonly Job[]): Row[] {
  return rowsOf(jobs.map(({ evaluation }) => new Map((evaluation ? changes(evaluation) : []).map(({ name, before, after }) => [name, `${before} → ${after}`]))));
}

/** A row for each name that any of the columns has. */
function rowsOf(columns: readonly Map<string, string>[]): Row[] {
  const names = [...new Set(columns.flatMap((column) => [...column.keys()]))];
  return names.map((name) => ({ name, values: columns.map((column) => column.get(name) ?? "–") }));
}
