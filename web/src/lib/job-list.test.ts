import { expect, test } from "vitest";

import { withBeginning, withPage } from "./job-list";
import type { Job } from "./types";

const jobs = (...times: number[]) => times.map((created_at) => ({ id: `j${created_at}`, created_at })) as unknown as Job[];
const ids = (found: readonly Job[]) => found.map(({ id }) => id);

test("a new job pushes none out of the list", () => {
  expect(ids(withBeginning(jobs(5, 4, 3, 2), jobs(6, 5), true, "desc"))).toEqual(["j6", "j5", "j4", "j3", "j2"]);
});

test("a job that does not match any more is gone, and so is all when there is no more", () => {
  expect(ids(withBeginning(jobs(5, 4, 3, 2), jobs(5, 3), true, "desc"))).toEqual(["j5", "j3", "j2"]);
  expect(ids(withBeginning(jobs(5, 4, 3, 2), jobs(5), false, "desc"))).toEqual(["j5"]);
  expect(withBeginning(jobs(5), [], false, "desc")).toEqual([]);
});

test("the oldest may come first, and a page brings no job twice", () => {
  expect(ids(withBeginning(jobs(1, 2, 3, 4), jobs(1, 3), true, "asc"))).toEqual(["j1", "j3", "j4"]);
  expect(ids(withPage(jobs(3, 2), jobs(2, 1)))).toEqual(["j3", "j2", "j1"]);
});
