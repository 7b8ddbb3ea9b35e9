/** Steps and times of a job as places on an axis, and back. */

import { stepExtent } from "./heatmap";
import type { MetricSeries } from "./metric-series";
import type { Axis, Range } from "./view.svelte";

/** The x of each row: its last step, or seconds since the first step. */
export function places(series: MetricSeries, axis: Axis): number[] {
  if (axis === "step") return series.steps;
  const start = series.times[0] ?? 0;
  return series.times.map((time) => time - start);
}

/** The x of a step. */
export function placeOf(series: MetricSeries, axis: Axis, step: number): number {
  if (axis === "step") return step;
  const row = series.rowOf(step);
  return row < 0 ? 0 : (series.times[row] as number) - (series.times[0] as number);
}

/** The step at an x of the axis. */
export function stepAt(series: MetricSeries, axis: Axis, x: number): number {
  if (axis === "step") return Math.round(x);
  const start = series.times[0] ?? 0;
  const row = series.times.findLastIndex((time) => time - start <= x + 1e-6);
  return series.steps[Math.max(0, row)] ?? 1;
}

/** The steps that are shown when nobody has zoomed in. */
export function wholeRange(last: number, total: number | null | undefined): Range {
  return [1, stepExtent(last, total)];
}

/** Both ends of the axis; on that of steps with half a step of room, so that a step stands over its heatmap column. */
export function axisEnds(series: MetricSeries, axis: Axis, range: Range): [number, number] {
  if (axis === "step") return [range[0] - 0.5, range[1] + 0.5];
  const from = placeOf(series, axis, range[0]);
  const to = placeOf(series, axis, Math.min(range[1], series.last));
  return [from, Math.max(to, from + 1)];
}

/** A range that somebody asked for, as whole steps that exist; null when that is nearly nothing or all. */
export function clampRange(from: number, to: number, last: number): Range | null {
  const low = Math.max(1, Math.min(Math.round(Math.min(from, to)), last));
  const high = Math.min(last, Math.max(Math.round(Math.max(from, to)), low + 1));
  return high <= low || (low === 1 && high === last) ? null : [low, high];
}
