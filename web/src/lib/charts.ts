/** What all line charts share: their look, axes that read well, and where a step lies on the axis of time. */

import uPlot from "uplot";

import { span, tick } from "./format";
import { wholeTicks } from "./heatmap";
import { GUTTER } from "./heatmap-canvas";
import { colour } from "./scheme.svelte";

export interface Line {
  label: string;
  /** A custom property of the page, or a colour. */
  stroke: string;
  width: number;
  dash?: number[];
  /** Points without a line between them, for values that are few. */
  points?: boolean;
}

export interface Frame {
  width: number;
  height: number;
  kind: "step" | "time" | "tokens";
  logarithmic: boolean;
  range: () => [number, number];
  /** Pairs of lines (by number, from 1) with the room between them filled. */
  bands: { between: [number, number]; fill: string }[];
  onpoint: (x: number | null) => void;
  onzoom: (range: [number, number] | null) => void;
}

const resolve = (stroke: string) => (stroke.startsWith("--") ? colour(stroke as `--${string}`) : stroke);

export function chartOptions(lines: readonly Line[], frame: Frame): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: colour("--soft"),
    font: `12px ${getComputedStyle(document.body).fontFamily}`,
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width: Math.max(frame.width, 1),
    height: frame.height,
    padding: [12, GUTTER.right, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 7 }, drag: { x: true, y: false, setScale: false }, bind: { dblclick: () => null } },
    scales: {
      x: { time: false, range: frame.range },
      y: { distr: frame.logarithmic ? 3 : 1, range: frame.logarithmic ? logRange : linearRange },
    },
    axes: [
      { ...axis, size: 24, gap: 6, grid: { show: false }, ...xTicks(frame) },
      { ...axis, size: GUTTER.left, gap: 8, ...(frame.logarithmic ? LOG_TICKS : {}), values: (_, splits) => splits.map((value) => (value === null ? "" : tick(value))) },
    ],
    series: [{}, ...lines.map(series)],
    bands: frame.bands.map(({ between, fill }) => ({ series: between, fill: resolve(fill) })),
    hooks: {
      setCursor: [({ cursor, data }) => frame.onpoint(cursor.idx == null ? null : (data[0][cursor.idx] ?? null))],
      setSelect: [(plot) => zoom(plot, frame)],
    },
  };
}

function series({ label, stroke, width, dash, points }: Line): uPlot.Series {
  const drawn = resolve(stroke);
  const line: uPlot.Series = { label, stroke: drawn, width, spanGaps: true, points: { show: points ?? false, size: 6, fill: drawn } };
  if (dash) line.dash = dash;
  return line;
}

function zoom(plot: uPlot, frame: Frame): void {
  const { left, width } = plot.select;
  if (width < 4) return;
  frame.onzoom([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
}

function linearRange(_: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax {
  return uPlot.rangeNum(low ?? 0, high ?? 1, 0.08, false);
}

function logRange(_: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax {
  if (low === null || high === null || low <= 0) return [0.1, 1];
  // Room on both sides rather than whole powers of ten, which would leave most of the chart empty.
  return [low / 1.15, high * 1.15];
}

function xTicks({ kind, width }: Frame): Pick<uPlot.Axis, "splits" | "values"> {
  if (kind !== "time") {
    return {
      splits: (_, __, low, high) => wholeTicks(Math.max(1, Math.ceil(low)), high, width / (kind === "tokens" ? 95 : 70)),
      values: (_, splits) => splits.map(tick),
    };
  }
  return {
    splits: (_, __, low, high) => timeTicks(low, high, width / 90),
    values: (_, splits) => splits.map(span),
  };
}

/** uPlot's own never end for a range that does not begin at a power of ten. */
const LOG_TICKS: Pick<uPlot.Axis, "splits" | "filter"> = {
  splits: (_, __, low, high) => logTicks(low, high),
  filter: (_, splits) => splits,
};

/** 1, 2 and 5 of each power of ten from `low` to `high`; the powers alone where they are many. */
export function logTicks(low: number, high: number): number[] {
  if (!(low > 0) || !(high >= low) || !Number.isFinite(high)) return [];
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const factors = last - first > 3 ? [1] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = first; power <= last; power++) for (const factor of factors) ticks.push(Number(`${factor}e${power}`));
  return ticks.filter((tick) => tick >= low && tick <= high);
}

const ROUND_SECONDS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400];

/** Round times for an axis from `low` to `high` seconds, at most `count` of them. */
export function timeTicks(low: number, high: number, count: number): number[] {
  const least = (high - low) / Math.max(1, count);
  const step = ROUND_SECONDS.find((size) => size >= least) ?? Math.ceil(least / 86_400) * 86_400;
  const ticks: number[] = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(tick);
  return ticks;
}
