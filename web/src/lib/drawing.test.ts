import { expect, test } from "vitest";

import { darkMap, lightMap, luminance } from "./colormap";
import { bin, cellAt, rowTop, scale, stepExtent, topLayers, wholeTicks } from "./heatmap";
import { JobHistory } from "./history";
import { smooth } from "./smoothing";

function historyOf(rows: { importance: number[]; active: number[] }[]): JobHistory {
  const history = new JobHistory();
  rows.forEach((row, at) =>
    history.apply({ type: "step", seq: at + 1, data: { step: at + 1, time: at, metrics: {}, probabilities: null, ...row } }),
  );
  return history;
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
  const grid = bin(historyOf([{ importance: [1, 2], active: [1] }]), 4, 100);
  expect([grid.columns, grid.filled]).toEqual([4, 1]);
  expect(Array.from(grid.mean.subarray(0, 2))).toEqual([1, 2]);
  expect(Array.from(grid.share.subarray(0, 2))).toEqual([0, 1]);
  expect(grid.mean[2]).toBeNaN();
});

test("more steps than pixels are averaged, and no step is lost", () => {
  const rows = Array.from({ length: 1000 }, (_, at) => ({ importance: [at], active: at % 4 === 0 ? [0] : [] }));
  const grid = bin(historyOf(rows), 1000, 10.7);
  expect([grid.columns, grid.filled]).toEqual([10, 10]);
  expect(grid.mean[0]).toBeCloseTo(49.5);
  expect(grid.mean[9]).toBeCloseTo(949.5);
  expect(Array.from(grid.share)).toEqual(Array.from({ length: 10 }, () => 0.25));
});

test("the extent doubles and stops at the job's last step", () => {
  expect([stepExtent(0, 150), stepExtent(33, 150), stepExtent(140, 150), stepExtent(40, null)]).toEqual([32, 64, 150, 64]);
  expect(stepExtent(0, 4)).toBe(4);
});

test("a point and its cell agree", () => {
  expect(cellAt(0, 0.999, 10, 5)).toEqual({ step: 1, layer: 0 });
  expect(cellAt(0.99, 0, 10, 5)).toEqual({ step: 10, layer: 4 });
  expect(cellAt(1, 0.5, 10, 5)).toBeNull();
  expect(rowTop(4, 5)).toBe(0);
});

test("ticks are whole and few", () => {
  expect(wholeTicks(1, 150, 8)).toEqual([20, 40, 60, 80, 100, 120, 140]);
  expect(wholeTicks(0, 3, 10)).toEqual([0, 1, 2, 3]);
});

test("layers are ranked by the newest scores", () => {
  const history = historyOf([
    { importance: [9, 0, 0], active: [0] },
    { importance: [1, 3, 2], active: [0, 1] },
  ]);
  expect(topLayers(history, 2)).toEqual([
    { layer: 1, score: 3, updated: 0.5 },
    { layer: 2, score: 2, updated: 0 },
  ]);
  expect(topLayers(new JobHistory(), 2)).toEqual([]);
});

test("scores are placed within their range", () => {
  expect([scale(-1, -1, 1), scale(0, -1, 1), scale(3, 3, 3)]).toEqual([0, 0.5, 0.5]);
});

test("smoothing has no start-up bias and keeps gaps", () => {
  expect(smooth([4, 4, 4], 0.9).map((value) => value?.toFixed(6))).toEqual(["4.000000", "4.000000", "4.000000"]);
  expect(smooth([1, null, 3], 0)).toEqual([1, null, 3]);
});
