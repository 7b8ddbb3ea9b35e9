import { expect, test } from "vitest";

import { curve, differences, groups, joined, results, valueAt, type Compared } from "./comparison";
import { ImportanceSeries } from "./importance-series";
import { MetricSeries } from "./metric-series";
import type { Job } from "./types";

function job(id: string, hash: string | null, spec: object, losses: number[] = []): Compared {
  const metrics = new MetricSeries();
  losses.forEach((loss, at) => metrics.append({ step: at + 1, time: 50 + 3 * at, metrics: { loss, tokens: 10 }, importance: [], active: [], probabilities: null }));
  return { job: { id, training_file: `file-${id}`, spec } as unknown as Job, hash, filename: `${id}.jsonl`, metrics, importance: new ImportanceSeries() };
}

test("jobs are grouped by what their data holds, not by the file's id", () => {
  const found = groups([job("a", "x", {}), job("b", "y", {}), job("c", "x", {}), job("d", null, {}), job("e", null, {})]);
  expect(found.map(({ jobs }) => jobs.map((one) => one.job.id))).toEqual([["a", "c"], ["b"], ["d"], ["e"]]);
});

test("a curve by steps, time or tokens", () => {
  const { metrics } = job("a", null, {}, [4, 2]);
  expect(curve(metrics, "step", 0)).toEqual([[1, 2], [4, 2]]);
  expect(curve(metrics, "time", 0)[0]).toEqual([0, 3]);
  expect(curve(metrics, "tokens", 0)[0]).toEqual([10, 20]);
});

test("curves of other steps stand on one axis, with gaps", () => {
  const found = joined([[[1, 3], [5, 6]], [[2, 3], [7, null]]]);
  expect(found).toEqual([[1, 2, 3], [5, null, 6], [null, 7, null]]);
  expect([valueAt([[1, 3], [5, 6]], 2), valueAt([[1, 3], [5, null]], 9), valueAt([[4], [5]], 2)]).toEqual([5, 5, null]);
});

test("jobs are judged side by side, also where one has no such measure", () => {
  const judged = (scores: object) => ({ evaluation: { rows: 2, scores, valid_loss: { before: 3, after: 1.5 }, valid_mean_token_accuracy: null, valid_reward_accuracy: null } }) as unknown as Job;
  const one = judged({ exact_match: { before: 0, after: 1, rows: 2 } });
  expect(results([one, judged({}), { evaluation: null } as unknown as Job])).toEqual([
    { name: "exact match", values: ["0.00 → 1.00", "–", "–"] },
    { name: "validation loss", values: ["3 → 1.5", "3 → 1.5", "–"] },
  ]);
});

test("only what differs is told, also where one has no such setting", () => {
  const one = job("a", null, { learning_rate: 0.1, seed: 1, ist: { floor: 0.1 } });
  const other = job("b", null, { learning_rate: 0.1, seed: 2, ist: null });
  expect(differences([one.job, other.job])).toEqual([
    { name: "seed", values: ["1", "2"] },
    { name: "ist.floor", values: ["0.1", "–"] },
    { name: "ist", values: ["–", "off: every layer in every step"] },
  ]);
  expect(differences([one.job, one.job])).toEqual([]);
});
