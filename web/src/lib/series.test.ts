import { expect, test } from "vitest";

import { foldStarts } from "./folding";
import { ImportanceSeries } from "./importance-series";
import { MetricSeries } from "./metric-series";
import { MOST_ROWS } from "./step-rows";
import type { Importance, Metrics, StepRecord } from "./types";

const step = (number: number, importance: number[] = [], active: number[] = []): StepRecord => ({
  step: number,
  time: 100 + number,
  metrics: { loss: 3 - number, tokens: 10 },
  importance,
  active,
  probabilities: null,
});

const ANSWER: Metrics = {
  object: "fine_tuning.job.metrics",
  job_id: "j",
  bucket: 10,
  steps: [10, 20, 25],
  time: [1, 2, 3],
  series: { loss: [5, 4, 3], tokens: [2, 2, 2] },
  low: { loss: [1, 2, 3], tokens: [2, 2, 2] },
  high: { loss: [9, 8, 7], tokens: [2, 2, 2] },
  count: [10, 10, 5],
};

test("what was loaded is followed by what is new, and a step seen before changes nothing", () => {
  const metrics = new MetricSeries();
  metrics.load(structuredClone(ANSWER));
  expect(metrics.append(step(25))).toBe(false);
  expect(metrics.append(step(26))).toBe(true);
  expect(metrics.steps).toEqual([10, 20, 25, 26]);
  expect([0, 1, 2, 3].map((row) => metrics.count(row))).toEqual([10, 10, 5, 1]);
  expect([metrics.last, metrics.newest("loss"), metrics.newest("grad_norm")]).toEqual([26, -23, null]);
  expect(metrics.tokensSoFar()).toEqual([20, 40, 50, 60]);
});

test("a row is found by any of its steps", () => {
  const metrics = new MetricSeries();
  expect(metrics.rowOf(1)).toBe(-1);
  metrics.load(structuredClone(ANSWER));
  expect([1, 10, 11, 20, 25, 99].map((number) => metrics.rowOf(number))).toEqual([0, 0, 1, 1, 2, 2]);
});

test("a part of a series knows where it begins", () => {
  const metrics = new MetricSeries();
  metrics.load({ ...structuredClone(ANSWER), steps: [105, 110, 112], count: [5, 5, 2] });
  expect([0, 1, 2].map((row) => metrics.count(row))).toEqual([5, 5, 2]);
});

test("a page left open keeps its room: means and extremes stay", () => {
  const metrics = new MetricSeries();
  const steps = 2 * MOST_ROWS + 1;
  for (let number = 1; number <= steps; number++) metrics.append(step(number));
  expect(metrics.length).toBeLessThanOrEqual(MOST_ROWS);
  expect(metrics.last).toBe(steps);
  const counts = metrics.steps.map((_, row) => metrics.count(row));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(steps);
  const mean = metrics.mean.loss.reduce<number>((sum, value, row) => sum + (value ?? 0) * (counts[row] ?? 0), 0) / steps;
  expect(mean).toBeCloseTo(3 - (steps + 1) / 2);
  expect([Math.max(...(metrics.high.loss as number[])), Math.min(...(metrics.low.loss as number[]))]).toEqual([2, 3 - steps]);
});

test("scores fold as metrics do, weighted by their steps, and no update is lost", () => {
  const scores = new ImportanceSeries();
  const steps = 2 * MOST_ROWS + 1;
  for (let number = 1; number <= steps; number++) scores.append(step(number, [number, -number, 0], [number % 3]));
  expect(scores.length).toBeLessThanOrEqual(MOST_ROWS);
  expect(scores.updatesUpTo(scores.length - 1)).toEqual([2000, 2001, 2000]);
  expect([scores.lowest, scores.highest]).toEqual([-steps, steps]);
  expect(scores.score(scores.length - 1, 0)).toBeCloseTo(steps, -1);
  expect(scores.first(0)).toBe(1);
});

test("scores that were loaded have shares and chances", () => {
  const answer: Importance = {
    object: "fine_tuning.job.importance",
    job_id: "j",
    layers: 2,
    bucket: 4,
    steps: [4, 6],
    time: [1, 2],
    importance: [
      [0.5, -1],
      [1.5, 0],
    ],
    active: null,
    updated: [
      [4, 1],
      [0, 2],
    ],
    probabilities: [[0.25, 0.75], null],
    count: [4, 2],
  };
  const scores = new ImportanceSeries();
  scores.load(answer);
  expect([scores.updatedShare(0, 0), scores.updatedShare(0, 1), scores.updatedShare(1, 1)]).toEqual([1, 0.25, 1]);
  expect([scores.chanceOf(0, 1), scores.chanceOf(1, 1)]).toEqual([0.75, NaN]);
  expect(scores.updatesUpTo(1)).toEqual([4, 3]);
  expect(scores.append(step(7, [9, 9], [0]))).toBe(true);
  expect([scores.score(2, 0), scores.updatedShare(2, 0), scores.highest]).toEqual([9, 1, 9]);
  expect(Array.from(scores.scoresAt(1))).toEqual([1.5, 0]);
});

test("the past of a long series stays as fine as its newest part", () => {
  const metrics = new MetricSeries();
  for (let number = 1; number <= 40 * MOST_ROWS; number++) metrics.append(step(number));
  const folded = metrics.steps.map((_, row) => metrics.count(row)).filter((count) => count > 1);
  expect(Math.max(...folded)).toBeLessThan(8 * 40);
  expect(metrics.rowOf(20 * MOST_ROWS)).toBeGreaterThan(MOST_ROWS / 16);
});

test("rows are joined up to a bucket, and what is coarse stays", () => {
  expect(foldStarts([1, 1, 1, 1, 1, 1, 1, 1], 8)).toEqual([0, 4]);
  expect(foldStarts([9, 1, 1, 9], 20)).toEqual([0, 1, 3]);
});
