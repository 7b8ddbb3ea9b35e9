/** The loss of several jobs in a few points each: fetched one after the other, kept while a job stands still. */

import { getMetrics } from "./api";
import { ApiError } from "./http";
import type { Job } from "./types";

const POINTS = 48;

export class Sparklines {
  /** By job id. */
  lines = $state.raw<ReadonlyMap<string, readonly number[]>>(new Map());
  #steps = new Map<string, number>();
  #busy = false;

  /** Brings up to date what these jobs' lines lack; a second call while one is under way does nothing. */
  async refresh(jobs: readonly Job[]): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (const { id, step } of jobs) if (step > 1 && this.#steps.get(id) !== step) await this.#fetch(id, step);
    } catch (error) {
      // The list says by itself that the service is away; the lines are fetched at the next call.
      if (!(error instanceof ApiError)) throw error;
    } finally {
      this.#busy = false;
    }
  }

  async #fetch(id: string, step: number): Promise<void> {
    const { series } = await getMetrics(id, ["loss"], { points: POINTS });
    const losses = (series.loss ?? []).filter((value): value is number => value !== null);
    this.lines = new Map(this.lines).set(id, losses);
    this.#steps.set(id, step);
  }
}

/** A line's points in a box, as an SVG path draws them. */
export function path(values: readonly number[], width: number, height: number): string {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const x = (at: number) => (values.length > 1 ? (at / (values.length - 1)) * width : 0);
  const y = (value: number) => (high > low ? height - ((value - low) / (high - low)) * height : height / 2);
  return values.map((value, at) => `${at === 0 ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
}
