/** A job's past as columns, grown frame by frame: plain arrays and typed ones, nothing reactive. */

import type { Frame, Job, JobEvent } from "./types";

/** Step metrics that the page draws or shows; others are left where they are. */
export const METRICS = ["loss", "tokens_per_second", "step_seconds", "probe_seconds", "memory_bytes"] as const;
export type Metric = (typeof METRICS)[number];

export class JobHistory {
  job: Job | null = null;
  events: JobEvent[] = [];
  ended = false;
  /** The highest `seq` seen on event and step frames: where a new connection goes on. */
  cursor = 0;

  readonly steps: number[] = [];
  readonly times: number[] = [];
  readonly metrics: Record<Metric, (number | null)[]> = {
    loss: [],
    tokens_per_second: [],
    step_seconds: [],
    probe_seconds: [],
    memory_bytes: [],
  };
  /** 0 until the first step that carries scores. */
  layers = 0;
  /** Scores, row after row: `scores[row * layers + layer]`; `row` is the index into `steps`. */
  scores = new Float32Array(0);
  /** 1 where the layer was updated in that step; laid out as `scores`. */
  active = new Uint8Array(0);
  /** How many steps updated each layer. */
  updates: number[] = [];
  lowest = Infinity;
  highest = -Infinity;

  /** Takes a frame in; false when it brought nothing new (a frame seen before). */
  apply(frame: Frame): boolean {
    if (frame.type === "end") {
      this.ended = true;
      return true;
    }
    if (frame.type === "job") {
      this.job = frame.data;
      return true;
    }
    if (frame.seq <= this.cursor) return false;
    this.cursor = frame.seq;
    if (frame.type === "event") this.events.push(frame.data);
    else this.#addStep(frame.data);
    return true;
  }

  get length(): number {
    return this.steps.length;
  }

  get lastStep(): number {
    return this.steps.at(-1) ?? 0;
  }

  last(metric: Metric): number | null {
    return this.metrics[metric].at(-1) ?? null;
  }

  score(row: number, layer: number): number {
    return this.scores[row * this.layers + layer] ?? NaN;
  }

  wasUpdated(row: number, layer: number): boolean {
    return this.active[row * this.layers + layer] === 1;
  }

  /** The newest scores, one a layer. */
  latest(): Float32Array {
    const row = this.length - 1;
    return row < 0 ? new Float32Array(0) : this.scores.subarray(row * this.layers, (row + 1) * this.layers);
  }

  /** The row of a step, or -1; steps only grow, so a binary search finds it. */
  rowOf(step: number): number {
    let low = 0;
    let high = this.steps.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = this.steps[middle] as number;
      if (found === step) return middle;
      if (found < step) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  #addStep(record: Extract<Frame, { type: "step" }>["data"]): void {
    if (this.layers === 0) {
      this.layers = record.importance.length;
      this.updates = new Array<number>(this.layers).fill(0);
    }
    const row = this.steps.length;
    this.#reserve((row + 1) * this.layers);
    this.steps.push(record.step);
    this.times.push(record.time);
    for (const metric of METRICS) this.metrics[metric].push(record.metrics[metric] ?? null);
    record.importance.forEach((score, layer) => {
      this.scores[row * this.layers + layer] = score;
      if (score < this.lowest) this.lowest = score;
      if (score > this.highest) this.highest = score;
    });
    for (const layer of record.active) {
      this.active[row * this.layers + layer] = 1;
      this.updates[layer] = (this.updates[layer] ?? 0) + 1;
    }
    if (this.job) this.job = { ...this.job, step: Math.max(this.job.step ?? 0, record.step) };
  }

  #reserve(size: number): void {
    if (size <= this.scores.length) return;
    const room = Math.max(1024, size, this.scores.length * 2);
    const scores = new Float32Array(room);
    scores.set(this.scores);
    this.scores = scores;
    const active = new Uint8Array(room);
    active.set(this.active);
    this.active = active;
  }
}
