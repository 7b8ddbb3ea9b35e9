import { expect, test } from "vitest";

import { JobHistory } from "./history";
import type { Frame } from "./types";

const step = (seq: number, number: number, importance: number[], active: number[]): Frame => ({
  type: "step",
  seq,
  data: { step: number, time: 100 + number, metrics: { loss: 3 - number }, importance, active, probabilities: null },
});

test("frames seen before change nothing", () => {
  const history = new JobHistory();
  expect(history.apply(step(1, 1, [0.5, -1], [1]))).toBe(true);
  expect(history.apply(step(1, 1, [9, 9], [0]))).toBe(false);
  expect(history.apply(step(2, 2, [1.5, 0], [0, 1]))).toBe(true);
  expect(history.steps).toEqual([1, 2]);
  expect(history.metrics.loss).toEqual([2, 1]);
  expect(history.metrics.memory_bytes).toEqual([null, null]);
  expect(history.cursor).toBe(2);
});

test("scores, marks and their range are kept by row", () => {
  const history = new JobHistory();
  for (let n = 1; n <= 2000; n++) history.apply(step(n, n, [n, -n, 0], [n % 3]));
  expect([history.score(1999, 0), history.score(1999, 1)]).toEqual([2000, -2000]);
  expect([history.lowest, history.highest]).toEqual([-2000, 2000]);
  expect(history.wasUpdated(3, 1)).toBe(true);
  expect(history.wasUpdated(3, 2)).toBe(false);
  expect(history.updates).toEqual([666, 667, 667]);
  expect(Array.from(history.latest())).toEqual([2000, -2000, 0]);
});

test("a row is found by its step", () => {
  const history = new JobHistory();
  [2, 5, 9].forEach((number, at) => history.apply(step(at + 1, number, [0], [])));
  expect([2, 5, 9, 3, 10].map((number) => history.rowOf(number))).toEqual([0, 1, 2, -1, -1]);
});

test("events move the cursor, job frames do not", () => {
  const history = new JobHistory();
  const event = { id: "e", object: "fine_tuning.job.event", created_at: 0, level: "info", message: "Queued", type: "message", data: {} } as const;
  history.apply({ type: "event", seq: 4, data: event });
  expect(history.events.map((event) => event.message)).toEqual(["Queued"]);
  history.apply({ type: "job", seq: 9, data: { id: "j" } as never });
  expect([history.cursor, history.job?.id]).toEqual([4, "j"]);
});
