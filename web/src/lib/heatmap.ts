/** Layers by steps as a grid of at most one column a pixel: binning, placing and finding cells. */

import type { ImportanceSeries } from "./importance-series";
import type { Range } from "./view.svelte";

export interface Grid {
  columns: number;
  layers: number;
  /** Mean score of a cell, NaN where no step has come yet: `mean[column * layers + layer]`. */
  mean: Float32Array;
  /** Share of the cell's steps that updated the layer; laid out as `mean`. */
  share: Float32Array;
  /** How many columns hold at least one step. */
  filled: number;
}

/** The steps that the axis spans: doubles as a job goes on, so that a live plot seldom rescales. */
export function stepExtent(lastStep: number, totalSteps: number | null | undefined): number {
  let extent = 32;
  while (extent < lastStep) extent *= 2;
  return totalSteps && totalSteps >= lastStep ? Math.min(extent, totalSteps) : extent;
}

/** How many steps a range holds. */
export function width([from, to]: Range): number {
  return to - from + 1;
}

/** Bins the range into at most `maxColumns` columns of equal width; a row counts by the steps it shares with one. */
export function bin(series: ImportanceSeries, range: Range, maxColumns: number): Grid {
  const { layers } = series;
  const columns = Math.max(1, Math.min(width(range), Math.floor(maxColumns)));
  const mean = new Float32Array(columns * layers);
  const share = new Float32Array(columns * layers);
  const weights = new Float32Array(columns);
  const size = width(range) / columns;
  const end = range[1] + 1;
  for (let row = Math.max(0, series.rowOf(range[0])); row < series.length; row++) {
    const from = Math.max(series.first(row), range[0]);
    const to = Math.min((series.steps[row] as number) + 1, end);
    if (from >= end) break;
    if (to <= from) continue;
    const last = Math.min(columns - 1, Math.ceil((to - range[0]) / size) - 1);
    for (let column = Math.floor((from - range[0]) / size); column <= last; column++) {
      const start = range[0] + column * size;
      const overlap = Math.min(to, start + size) - Math.max(from, start);
      if (overlap <= 1e-9) continue;
      weights[column] = (weights[column] as number) + overlap;
      for (let layer = 0; layer < layers; layer++) {
        const cell = column * layers + layer;
        mean[cell] = (mean[cell] as number) + overlap * series.score(row, layer);
        share[cell] = (share[cell] as number) + overlap * series.updatedShare(row, layer);
      }
    }
  }
  let filled = 0;
  weights.forEach((weight, column) => {
    if (weight > 0) filled++;
    for (let cell = column * layers; cell < (column + 1) * layers; cell++) {
      mean[cell] = weight > 0 ? (mean[cell] as number) / weight : NaN;
      share[cell] = weight > 0 ? (share[cell] as number) / weight : 0;
    }
  });
  return { columns, layers, mean, share, filled };
}

/** A score as 0..1 of the range seen; 0.5 when all scores are the same. */
export function scale(score: number, lowest: number, highest: number): number {
  return highest > lowest ? (score - lowest) / (highest - lowest) : 0.5;
}

export interface Cell {
  step: number;
  layer: number;
}

/** The cell under a point given as fractions of the plot (x from the left, y from the top). */
export function cellAt(x: number, y: number, range: Range, layers: number): Cell | null {
  if (x < 0 || x >= 1 || y < 0 || y >= 1 || layers === 0) return null;
  return { step: Math.floor(x * width(range)) + range[0], layer: layers - 1 - Math.floor(y * layers) };
}

/** Where the middle of a step lies, as a fraction from the left. */
export function across(step: number, range: Range): number {
  return (step - range[0] + 0.5) / width(range);
}

/** Where layer `layer` begins, as a fraction from the top: layer 0 lies at the bottom. */
export function rowTop(layer: number, layers: number): number {
  return (layers - 1 - layer) / layers;
}

/** Round numbers for an axis from `low` to `high`, at most `count` of them, whole numbers only. */
export function wholeTicks(low: number, high: number, count: number): number[] {
  const least = Math.max(1, (high - low) / Math.max(1, count));
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= least) ?? power * 10;
  const ticks: number[] = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(tick);
  return ticks;
}
