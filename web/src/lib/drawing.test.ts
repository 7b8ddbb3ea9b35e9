import { expect, test } from "vitest";

import { darkMap, lightMap, luminance } from "./colormap";
import { axisEnds, clampRange, places, stepAt } from "./chart-axis";
import { logTicks, timeTicks } from "./charts";
import { across, bin, cellAt, rowTop, scale, stepExtent, wholeTicks } from "./heatmap";
import { ImportanceSeries } from "./importance-series";
import { MetricSeries } from "./metric-series";
import { smooth } from "./smoothing";
import { path } from "./sparklines.svelte";

function scoresOf(rows: { importance: number[]; active: number[] }[]): ImportanceSeries {
  const series = new ImportanceSeries();
  rows.forEach((row, at) => series.append({ step: at + 1, time: at, metrics: {}, probabilities: null, ...row }));
  return series;
}

test.each([
  ["light", lightMap, -1],
  ["dark", darkMap, 1],
] as const)("the %s map changes in luminance in one direction only", (_, map, sign) => {
  const values = Array.from({ length: 101 }, (_, at) => luminance(map(at / 100)) * sign);
  expect(values.every((value, at) => at === 0 || value >= (values[at - 1] as number) - 1e-3)).toBe(true);
  expect((values.at(-1) as number) - (values[0] as number)).toBeGreaterThan(0.6);
  expect(map(-5)).toEqual(map(0));
  expect(map(5)).toEqual(map(1));
});

test("a column a step when there is room, empty ones left empty", () => {
  const grid = bin(scoresOf([{ importance: [1, 2], active: [1] }]), [1, 4], 100);
  expect([grid.columns, grid.filled]).toEqual([4, 1]);
  expect(Array.from(grid.mean.subarray(0, 2))).toEqual([1, 2]);
  expect(Array.from(grid.share.subarray(0, 2))).toEqual([0, 1]);
  expect(grid.mean[2]).toBeNaN();
});

test("more steps than pixels are averaged, and no step is lost", () => {
  const rows = Array.from({ length: 1000 }, (_, at) => ({ importance: [at], active: at % 4 === 0 ? [0] : [] }));
  const grid = bin(scoresOf(rows), [1, 1000], 10.7);
  expect([grid.columns, grid.filled]).toEqual([10, 10]);
  expect(grid.mean[0]).toBeCloseTo(49.5);
  expect(grid.mean[9]).toBeCloseTo(949.5);
  expect(Array.from(grid.share, (share) => share.toFixed(2))).toEqual(Array.from({ length: 10 }, () => "0.25"));
});

test("a row of many steps fills all their columns, and only its part of a range counts", () => {
  const series = new ImportanceSeries();
  const zeros = { time: [0, 0], probabilities: [null, null], bucket: 50, object: "fine_tuning.job.importance", job_id: "j" } as const;
  series.load({ ...zeros, time: [0, 0], probabilities: [null, null], layers: 1, steps: [50, 100], count: [50, 50], importance: [[2], [4]], updated: [[25], [50]], active: null });
  const grid = bin(series, [41, 60], 4);
  expect(Array.from(grid.mean)).toEqual([2, 2, 4, 4]);
  expect(Array.from(grid.share)).toEqual([0.5, 0.5, 1, 1]);
  expect(bin(series, [50, 51], 1).mean[0]).toBe(3);
});

test("the extent doubles and stops at the job's last step", () => {
  expect([stepExtent(0, 150), stepExtent(33, 150), stepExtent(140, 150), stepExtent(40, null)]).toEqual([32, 64, 150, 64]);
  expect(stepExtent(0, 4)).toBe(4);
});

test("a point and its cell agree, also within a range", () => {
  expect(cellAt(0, 0.999, [1, 10], 5)).toEqual({ step: 1, layer: 0 });
  expect(cellAt(0.99, 0, [1, 10], 5)).toEqual({ step: 10, layer: 4 });
  expect(cellAt(1, 0.5, [1, 10], 5)).toBeNull();
  expect(cellAt(across(120, [101, 200]), 0.5, [101, 200], 5)?.step).toBe(120);
  expect(rowTop(4, 5)).toBe(0);
});

test("steps and times find each other", () => {
  const metrics = new MetricSeries();
  for (let n = 1; n <= 10; n++) metrics.append({ step: n, time: 1000 + 2 * n, metrics: { loss: n }, importance: [], active: [], probabilities: null });
  expect(places(metrics, "time").slice(0, 3)).toEqual([0, 2, 4]);
  expect([stepAt(metrics, "time", 5), stepAt(metrics, "time", 4), stepAt(metrics, "step", 4.4)]).toEqual([3, 3, 4]);
  expect(axisEnds(metrics, "step", [3, 8])).toEqual([2.5, 8.5]);
  expect(axisEnds(metrics, "time", [3, 32])).toEqual([4, 18]);
});

test("a range that is asked for is within the steps there are, and all of them is none", () => {
  expect(clampRange(8.4, -3, 10)).toEqual([1, 8]);
  expect(clampRange(4, 400, 10)).toEqual([4, 10]);
  expect(clampRange(5, 5, 10)).toEqual([5, 6]);
  expect(clampRange(0, 10, 10)).toBeNull();
  expect(clampRange(10, 10, 10)).toBeNull();
});

test("ticks are whole and few", () => {
  expect(wholeTicks(1, 150, 8)).toEqual([20, 40, 60, 80, 100, 120, 140]);
  expect(wholeTicks(0, 3, 10)).toEqual([0, 1, 2, 3]);
});

test("ticks of time are round", () => {
  expect(timeTicks(0, 130, 5)).toEqual([0, 30, 60, 90, 120]);
  expect(timeTicks(0, 10 * 86_400, 4)).toEqual([0, 3, 6, 9].map((days) => days * 86_400));
});

test("ticks of a log scale are round, and few", () => {
  expect(logTicks(0.0101, 3.4)).toEqual([0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]);
  expect(logTicks(2e-7, 30)).toEqual([1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10]);
  expect([logTicks(0, 1), logTicks(NaN, 1), logTicks(1, Infinity)]).toEqual([[], [], []]);
});

test("a sparkline spans its box", () => {
  expect(path([3, 1, 2], 10, 4)).toBe("M0.0 0.0L5.0 4.0L10.0 2.0");
  expect(path([1, 1], 10, 4)).toBe("M0.0 2.0L10.0 2.0");
});

test("scores are placed within their range", () => {
  expect([scale(-1, -1, 1), scale(0, -1, 1), scale(3, 3, 3)]).toEqual([0, 0.5, 0.5]);
});

test("smoothing has no start-up bias and keeps gaps", () => {
  expect(smooth([4, 4, 4], 0.9).map((value) => value?.toFixed(6))).toEqual(["4.000000", "4.000000", "4.000000"]);
  expect(smooth([1, null, 3], 0)).toEqual([1, null, 3]);
});
