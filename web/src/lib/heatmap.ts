/** Layers by steps as a grid of at most one column a pixel: binning, placing and finding cells. */

import type { JobHistory } from "./history";

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

/** Bins steps 1..extent into min(extent, maxColumns) columns of equal width. */
export function bin(history: JobHistory, extent: number, maxColumns: number): Grid {
  const { layers } = history;
  const columns = Math.max(1, Math.min(extent, Math.floor(maxColumns)));
  const mean = new Float32Array(columns * layers);
  const share = new Float32Array(columns * layers);
  const counts = new Uint32Array(columns);
  history.steps.forEach((step, row) => {
    if (step < 1 || step > extent) return;
    const column = Math.floor(((step - 1) * columns) / extent);
    counts[column] = (counts[column] as number) + 1;
    for (let layer = 0; layer < layers; layer++) {
      const cell = column * layers + layer;
      mean[cell] = (mean[cell] as number) + (history.scores[row * layers + layer] as number);
      share[cell] = (share[cell] as number) + (history.active[row * layers + layer] as number);
    }
  });
  let filled = 0;
  counts.forEach((count, column) => {
    if (count > 0) filled++;
    for (let cell = column * layers; cell < (column + 1) * layers; cell++) {
      mean[cell] = count > 0 ? (mean[cell] as number) / count : NaN;
      share[cell] = count > 0 ? (share[cell] as number) / count : 0;
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
export function cellAt(x: number, y: number, extent: number, layers: number): Cell | null {
  if (x < 0 || x >= 1 || y < 0 || y >= 1 || layers === 0) return null;
  return { step: Math.floor(x * extent) + 1, layer: layers - 1 - Math.floor(y * layers) };
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

export interface Ranked {
  layer: number;
  score: number;
  /** Share of all steps that updated the layer. */
  updated: number;
}

/** The layers with the highest newest scores, best first. */
export function topLayers(history: JobHistory, count: number): Ranked[] {
  return Array.from(history.latest(), (score, layer) => ({
    layer,
    score,
    updated: (history.updates[layer] ?? 0) / history.length,
  }))
    .sort((a, b) => b.score - a.score || a.layer - b.layer)
    .slice(0, count);
}
