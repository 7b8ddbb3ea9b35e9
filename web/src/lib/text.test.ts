import { expect, test } from "vitest";

import { configuration } from "./configuration";
import { secondsLeft } from "./eta";
import { bytes, duration, plain, significant } from "./format";
import { hashOfJob, jobInHash, tokenInHash } from "./route";
import type { Job } from "./types";

test("durations", () => {
  expect([0, 59.4, 60, 7260, 90_000, null].map(duration)).toEqual([
    "0 s",
    "59 s",
    "1 min 00 s",
    "2 h 01 min",
    "1 d 1 h",
    "–",
  ]);
});

test("sizes and numbers", () => {
  expect([bytes(512), bytes(1536), bytes(2.5 * 2 ** 30)]).toEqual(["512 B", "1.5 KiB", "2.5 GiB"]);
  expect([significant(-0.5), significant(1234.56), significant(0), significant(2e-7)]).toEqual([
    "−0.5",
    "1235",
    "0",
    "2.00e−7",
  ]);
  expect([plain(0.001), plain(0.0003)]).toEqual(["0.001", "3e−4"]);
});

test("time left follows the pace and not a gap between attempts", () => {
  const steps = Array.from({ length: 40 }, (_, at) => at + 1);
  const times = steps.map((step) => step * 2 + (step > 20 ? 3600 : 0));
  expect(secondsLeft(steps, times, 50)).toBeCloseTo(20);
  expect(secondsLeft([1], [2], 50)).toBeNull();
  expect(secondsLeft([1, 2], [0, 1], null)).toBeNull();
});

test("addresses", () => {
  expect(jobInHash(hashOfJob("ftjob-a1"))).toBe("ftjob-a1");
  expect([jobInHash("#/"), tokenInHash("#token=a%2Bb"), tokenInHash("#/jobs/x")]).toEqual([null, "a+b", null]);
});

test("the configuration is grouped, with the request's own names", () => {
  const spec = {
    model: "m",
    method: { type: "dpo", beta: 0.1 },
    learning_rate: 0.001,
    adapter: { type: "lora", rank: 16, alpha: null },
    ist: null,
  };
  expect(configuration({ spec } as unknown as Job)).toEqual([
    { title: "Training", rows: [{ name: "model", value: "m" }, { name: "learning_rate", value: "0.001" }] },
    { title: "Method", rows: [{ name: "type", value: "dpo" }, { name: "beta", value: "0.1" }] },
    {
      title: "Adapter",
      rows: [
        { name: "type", value: "lora" },
        { name: "rank", value: "16" },
        { name: "alpha", value: "not set" },
      ],
    },
    { title: "Importance-aware sparse tuning", rows: [{ name: "ist", value: "off: every layer in every step" }] },
  ]);
});
