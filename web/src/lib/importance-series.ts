/** Scores by step and layer in bounded room: a row stands for one step, or for the mean of several. */

import { folded } from "./folding";
import { MOST_ROWS, StepRows } from "./step-rows";
import type { Importance, StepRecord } from "./types";

export class ImportanceSeries extends StepRows {
  /** 0 until the first step that carries scores. */
  layers = 0;
  /** Mean scores, row after row: `scores[row * layers + layer]`. */
  scores = new Float32Array(0);
  /** The share of the row's steps that updated the layer; laid out as `scores`. */
  share = new Float32Array(0);
  /** Each layer's mean chance to be updated, NaN where it was not told; laid out as `scores`. */
  chance = new Float32Array(0);
  lowest = Infinity;
  highest = -Infinity;

  /** Takes what the service answered in place of what was there. */
  load(answer: Importance): void {
    this.place([...answer.steps], answer.count);
    this.layers = answer.layers ?? answer.importance[0]?.length ?? 0;
    this.#reserve(this.steps.length);
    answer.importance.forEach((scores, row) => {
      const updated = answer.updated?.[row] ?? [];
      this.#write(row, scores, answer.probabilities[row] ?? null, (layer) => (updated[layer] ?? 0) / this.count(row));
    });
  }

  /** Takes one step more; false when it is there already. */
  append(record: StepRecord): boolean {
    if (record.step <= this.last) return false;
    if (this.layers === 0) this.layers = record.importance.length;
    const row = this.steps.length;
    this.#reserve(row + 1);
    this.steps.push(record.step);
    const active = new Set(record.active);
    this.#write(row, record.importance, record.probabilities, (layer) => (active.has(layer) ? 1 : 0));
    if (this.steps.length > MOST_ROWS) this.#fold();
    return true;
  }

  /** The first step of a row. */
  first(row: number): number {
    return (this.steps[row] ?? 0) - this.count(row) + 1;
  }

  score(row: number, layer: number): number {
    return this.scores[row * this.layers + layer] ?? NaN;
  }

  updatedShare(row: number, layer: number): number {
    return this.share[row * this.layers + layer] ?? NaN;
  }

  chanceOf(row: number, layer: number): number {
    return this.chance[row * this.layers + layer] ?? NaN;
  }

  /** A row's scores, one a layer. */
  scoresAt(row: number): Float32Array {
    return this.scores.subarray(row * this.layers, (row + 1) * this.layers);
  }

  /** How many of the steps up to the end of a row updated each layer. */
  updatesUpTo(row: number): number[] {
    const updates = new Array<number>(this.layers).fill(0);
    for (let at = 0; at <= row; at++) {
      const count = this.count(at);
      for (let layer = 0; layer < this.layers; layer++) updates[layer] = (updates[layer] ?? 0) + this.updatedShare(at, layer) * count;
    }
    return updates.map(Math.round);
  }

  #write(row: number, scores: readonly (number | null)[], chances: readonly (number | null)[] | null, share: (layer: number) => number): void {
    for (let layer = 0; layer < this.layers; layer++) {
      const cell = row * this.layers + layer;
      const score = scores[layer] ?? NaN;
      this.scores[cell] = score;
      this.share[cell] = share(layer);
      this.chance[cell] = chances?.[layer] ?? NaN;
      if (score < this.lowest) this.lowest = score;
      if (score > this.highest) this.highest = score;
    }
  }

  #fold(): void {
    const rows = this.length;
    const { counts, starts } = this.folds();
    starts.forEach((first, at) => this.#join(at, first, (starts[at + 1] ?? rows) - 1, counts));
    this.steps = folded(starts, rows, (_, last) => this.steps[last] as number);
  }

  /** Writes the mean of some rows over row `target`, which comes before them or is the first. */
  #join(target: number, first: number, last: number, counts: readonly number[]): void {
    const { layers } = this;
    for (const column of [this.scores, this.share, this.chance]) {
      for (let layer = 0; layer < layers; layer++) {
        let [sum, weight] = [0, 0];
        for (let row = first; row <= last; row++) {
          sum += (column[row * layers + layer] as number) * (counts[row] as number);
          weight += counts[row] as number;
        }
        column[target * layers + layer] = sum / weight;
      }
    }
  }

  #reserve(rows: number): void {
    const size = rows * this.layers;
    if (size <= this.scores.length) return;
    const room = Math.max(1024, size, this.scores.length * 2);
    const grown = (column: Float32Array): Float32Array<ArrayBuffer> => {
      const larger = new Float32Array(room);
      larger.set(column);
      return larger;
    };
    [this.scores, this.share, this.chance] = [grown(this.scores), grown(this.share), grown(this.chance)];
  }
}
