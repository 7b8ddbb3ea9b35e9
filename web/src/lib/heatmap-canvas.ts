/** Paints a grid on a canvas: cells, marks of updated layers, axes. Lengths are in CSS pixels. */

import { isBright, type Colormap } from "./colormap";
import { tick } from "./format";
import { across, rowTop, scale, width as stepsIn, wholeTicks, type Cell, type Grid } from "./heatmap";
import type { Range } from "./view.svelte";

/** Room for the axes; the loss chart keeps the same, so that the steps of both stand in line. */
export const GUTTER = { left: 56, right: 16, top: 8, bottom: 40 } as const;

export interface Look {
  width: number;
  height: number;
  /** Device pixels a CSS pixel. */
  density: number;
  map: Colormap;
  ink: string;
  font: string;
  marks: boolean;
}

export interface Scene {
  grid: Grid;
  range: Range;
  lowest: number;
  highest: number;
  cursor: Cell | null;
  /** A step marked by a line, as when another figure is pointed at. */
  line: number | null;
}

export interface Plot {
  left: number;
  top: number;
  width: number;
  height: number;
}

export function plotArea(width: number, height: number): Plot {
  return {
    left: GUTTER.left,
    top: GUTTER.top,
    width: Math.max(1, width - GUTTER.left - GUTTER.right),
    height: Math.max(1, height - GUTTER.top - GUTTER.bottom),
  };
}

export function paint(context: CanvasRenderingContext2D, cells: HTMLCanvasElement, scene: Scene, look: Look): void {
  const plot = plotArea(look.width, look.height);
  context.setTransform(look.density, 0, 0, look.density, 0, 0);
  context.clearRect(0, 0, look.width, look.height);
  if (scene.grid.layers === 0) return;
  paintCells(context, cells, scene, look, plot);
  if (look.marks) paintMarks(context, cells, scene, look, plot);
  paintAxes(context, scene, look, plot);
  if (scene.line !== null) paintLine(context, scene.line, scene, look, plot);
  if (scene.cursor) paintCursor(context, scene.cursor, scene, plot);
}

/** One pixel a cell on a canvas of its own, then enlarged without smoothing. */
function paintCells(
  context: CanvasRenderingContext2D,
  cells: HTMLCanvasElement,
  { grid, lowest, highest }: Scene,
  { map }: Look,
  plot: Plot,
): void {
  const image = new ImageData(grid.columns, grid.layers);
  for (let column = 0; column < grid.columns; column++) {
    for (let layer = 0; layer < grid.layers; layer++) {
      const score = grid.mean[column * grid.layers + layer] as number;
      if (Number.isNaN(score)) continue;
      const pixel = ((grid.layers - 1 - layer) * grid.columns + column) * 4;
      image.data.set(map(scale(score, lowest, highest)), pixel);
      image.data[pixel + 3] = 255;
    }
  }
  cells.width = grid.columns;
  cells.height = grid.layers;
  cells.getContext("2d")?.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(cells, plot.left, plot.top, plot.width, plot.height);
}

/** Columns narrower than this (in CSS pixels) have no room for a dot beside a gap. */
const DOT_COLUMN = 3;

/** A dot in each cell whose layer was updated; a line along the layer where columns are narrow. Both are fainter where
 * a column stands for steps that differ. */
function paintMarks(context: CanvasRenderingContext2D, cells: HTMLCanvasElement, scene: Scene, look: Look, plot: Plot): void {
  if (plot.width / scene.grid.columns < DOT_COLUMN) paintMarkLines(context, cells, scene, look, plot);
  else paintDots(context, scene, look, plot);
}

/** Three pixels a cell, the middle one marked: tens of thousands of single dots would take longer than a frame. */
function paintMarkLines(
  context: CanvasRenderingContext2D,
  cells: HTMLCanvasElement,
  { grid, lowest, highest }: Scene,
  { map }: Look,
  plot: Plot,
): void {
  const image = new ImageData(grid.columns, grid.layers * 3);
  eachMark(grid, (column, layer, share) => {
    const place = scale(grid.mean[column * grid.layers + layer] as number, lowest, highest);
    const pixel = (((grid.layers - 1 - layer) * 3 + 1) * grid.columns + column) * 4;
    image.data.set(isBright(map, place) ? DARK_MARK : LIGHT_MARK, pixel);
    image.data[pixel + 3] = 255 * alphaOf(share);
  });
  cells.width = grid.columns;
  cells.height = grid.layers * 3;
  cells.getContext("2d")?.putImageData(image, 0, 0);
  context.drawImage(cells, plot.left, plot.top, plot.width, plot.height);
}

function paintDots(
  context: CanvasRenderingContext2D,
  { grid, lowest, highest }: Scene,
  { map, density }: Look,
  plot: Plot,
): void {
  const cellWidth = plot.width / grid.columns;
  const cellHeight = plot.height / grid.layers;
  const size = Math.min(4, 0.42 * cellHeight);
  const width = Math.max(1 / density, Math.min(size, 0.6 * cellWidth));
  eachMark(grid, (column, layer, share) => {
    const place = scale(grid.mean[column * grid.layers + layer] as number, lowest, highest);
    const colour = isBright(map, place) ? DARK_MARK : LIGHT_MARK;
    context.fillStyle = `rgb(${colour.join(" ")} / ${alphaOf(share)})`;
    const x = plot.left + (column + 0.5) * cellWidth - width / 2;
    const y = plot.top + rowTop(layer, grid.layers) * plot.height + (cellHeight - size) / 2;
    context.fillRect(x, y, width, size);
  });
}

function eachMark(grid: Grid, mark: (column: number, layer: number, share: number) => void): void {
  for (let column = 0; column < grid.columns; column++) {
    for (let layer = 0; layer < grid.layers; layer++) {
      const share = grid.share[column * grid.layers + layer] as number;
      if (share > 0) mark(column, layer, share);
    }
  }
}

/** White on dark cells and near-black on light ones: a mark that shows whatever the cell's colour. */
const DARK_MARK = [10, 22, 30] as const;
const LIGHT_MARK = [255, 252, 240] as const;
const alphaOf = (share: number) => 0.2 + 0.6 * share;

function paintAxes(
  context: CanvasRenderingContext2D,
  { grid, range }: Scene,
  { ink, font }: Look,
  plot: Plot,
): void {
  context.fillStyle = ink;
  context.font = font;
  context.textAlign = "right";
  context.textBaseline = "middle";
  const rowHeight = plot.height / grid.layers;
  for (const layer of [...new Set([0, ...wholeTicks(0, grid.layers - 1, plot.height / 26)])]) {
    const y = plot.top + rowTop(layer, grid.layers) * plot.height + rowHeight / 2;
    context.fillText(String(layer), plot.left - 8, y);
  }
  context.textAlign = "center";
  context.textBaseline = "top";
  const bottom = plot.top + plot.height;
  for (const step of wholeTicks(Math.max(1, range[0]), range[1], plot.width / 70)) {
    context.fillText(tick(step), plot.left + across(step, range) * plot.width, bottom + 7);
  }
  context.fillText("step", plot.left + plot.width / 2, bottom + 24);
  context.save();
  context.translate(11, plot.top + plot.height / 2);
  context.rotate(-Math.PI / 2);
  context.textBaseline = "middle";
  context.fillText("layer", 0, 0);
  context.restore();
}

function paintCursor(
  context: CanvasRenderingContext2D,
  cell: Cell,
  { grid, range }: Scene,
  plot: Plot,
): void {
  const width = Math.max(plot.width / stepsIn(range), 5);
  const height = plot.height / grid.layers;
  const x = plot.left + across(cell.step, range) * plot.width - width / 2;
  const y = plot.top + rowTop(cell.layer, grid.layers) * plot.height;
  // A light line within a dark one shows on every colour of both maps.
  context.lineWidth = 4;
  context.strokeStyle = "rgb(8 14 18 / 90%)";
  context.strokeRect(x - 1, y - 1, width + 2, height + 2);
  context.lineWidth = 1.5;
  context.strokeStyle = "rgb(255 255 255)";
  context.strokeRect(x - 1, y - 1, width + 2, height + 2);
}

function paintLine(
  context: CanvasRenderingContext2D,
  step: number,
  { range }: Scene,
  { ink }: Look,
  plot: Plot,
): void {
  const x = plot.left + across(step, range) * plot.width;
  if (x < plot.left || x > plot.left + plot.width) return;
  context.strokeStyle = ink;
  context.lineWidth = 1;
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(x, plot.top);
  context.lineTo(x, plot.top + plot.height);
  context.stroke();
  context.setLineDash([]);
}
