/** The series of a range of steps in finer rows than the whole has: fetched when one zooms in. */

import { ApiError, getImportance } from "./api";
import { ImportanceSeries } from "./importance-series";
import { getKnownMetrics, POINTS, type LiveJob } from "./live.svelte";
import { MetricSeries } from "./metric-series";
import type { Range } from "./view.svelte";

export interface Detail {
  range: Range;
  metrics: MetricSeries;
  importance: ImportanceSeries;
}

/** Whether the whole's rows already show each step of the range by itself. */
export function isExact(metrics: MetricSeries, [from, to]: Range): boolean {
  const [first, last] = [metrics.rowOf(from), metrics.rowOf(to)];
  for (let row = first; row <= last && row >= 0; row++) if (metrics.count(row) > 1) return false;
  return true;
}

export class DetailLoader {
  detail = $state.raw<Detail | null>(null);
  busy = $state(false);
  problem = $state<string | null>(null);
  #abort: AbortController | null = null;

  /** Shows a range in detail; null: the whole again. What was under way is given up. */
  async show(live: LiveJob, range: Range | null): Promise<void> {
    this.#abort?.abort();
    this.#abort = null;
    this.problem = null;
    this.busy = false;
    if (range === null || isExact(live.metrics, range)) {
      this.detail = null;
      return;
    }
    const abort = new AbortController();
    this.#abort = abort;
    this.busy = true;
    try {
      this.detail = await fetchDetail(live.id, range, abort.signal);
    } catch (error) {
      if (abort.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.problem = error.message;
    } finally {
      if (this.#abort === abort) this.busy = false;
    }
  }
}

async function fetchDetail(id: string, range: Range, signal: AbortSignal): Promise<Detail> {
  const window = { points: POINTS, after_step: range[0] - 1, before_step: range[1] + 1 };
  const [told, scores] = await Promise.all([getKnownMetrics(id, window, signal), getImportance(id, window, signal)]);
  const metrics = new MetricSeries();
  const importance = new ImportanceSeries();
  metrics.load(told);
  importance.load(scores);
  return { range, metrics, importance };
}
