import { expect, test } from "vitest";

import { configuration, flat } from "./configuration";
import { secondsLeft } from "./eta";
import { changes, markOf, promptOf, type Evaluation } from "./evaluation";
import { bytes, duration, plain, plural, significant, span, tick } from "./format";
import { jobsPath } from "./api";
import { memoryOf } from "./memory";
import { address, hashOfJob, parseRoute, tokenInHash } from "./route";
import type { Job, Sample } from "./types";

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
  expect(secondsLeft(steps, times, 40, 50)).toBeCloseTo(20);
  expect(secondsLeft([1], [2], 1, 50)).toBeNull();
  expect(secondsLeft([1, 2], [0, 1], 2, null)).toBeNull();
});

test("numbers on an axis are short", () => {
  expect([0, 0.5, 0.0005, 20_000, 250_000, 1_500_000, -0.25].map(tick)).toEqual(["0", "0.5", "5e−4", "20,000", "250k", "1.5M", "−0.25"]);
});

test("times on an axis and counts", () => {
  expect([5, 750, 11_100, 187_200].map(span)).toEqual(["0:05", "12:30", "3:05:00", "2d 04:00"]);
  expect([plural(1, "row"), plural(1200, "row")]).toEqual(["1 row", "1,200 rows"]);
});

test("addresses", () => {
  expect(parseRoute(hashOfJob("ftjob-a1"))).toMatchObject({ page: "jobs", id: "ftjob-a1" });
  expect(["", "#/", "#/jobs", "#/nowhere", "#bad"].map((hash) => parseRoute(hash).page)).toEqual(["jobs", "jobs", "jobs", null, null]);
  const route = parseRoute(address("compare", null, { jobs: "a,b", axis: "" }));
  expect([route.page, route.id, [...route.query]]).toEqual(["compare", null, [["jobs", "a,b"]]]);
  expect([tokenInHash("#token=a%2Bb"), tokenInHash("#/jobs/x")]).toEqual(["a+b", null]);
});

test("a list of jobs is asked for with what is given only", () => {
  expect(jobsPath({ limit: 20, state: "", search: "a b", metadata: "team = search" })).toBe(
    "/v1/fine_tuning/jobs?limit=20&search=a+b&metadata%5Bteam%5D=search",
  );
  expect(jobsPath({ metadata: "team" })).toBe("/v1/fine_tuning/jobs");
});

const SPEC = {
  model: "m",
  method: { type: "dpo", beta: 0.2 },
  learning_rate: 0.001,
  batch_size: 4,
  adapter: { type: "lora", rank: 16, alpha: 8 },
  ist: null,
} as unknown as Job["spec"];

test("the configuration is grouped, with the request's own names, and says what is not the default", () => {
  const groups = configuration(SPEC);
  expect(groups.map(({ title }) => title)).toEqual(["Training", "Method", "Adapter", "Importance-aware sparse tuning"]);
  const changed = groups.flatMap(({ rows }) => rows.filter(({ differs }) => differs).map(({ name, value, usual }) => [name, value, usual]));
  expect(changed).toEqual([
    ["batch_size", "4", "8"],
    ["type", "dpo", "supervised"],
    ["beta", "0.2", "0.1"],
    ["alpha", "8", "not set"],
    ["ist", "off: every layer in every step", null],
  ]);
});

test("a part that is off by default says nothing when it is off", () => {
  const rows = (spec: object) => configuration({ ...SPEC, ist: {}, ...spec } as Job["spec"]).slice(-1).flatMap(({ rows }) => rows);
  expect(rows({ evaluation: null })).toEqual([{ name: "evaluation", value: "the defaults", differs: false, usual: null }]);
  expect(rows({ evaluation: { rows: 5, loss_rows: 64 } })).toEqual([
    { name: "rows", value: "5", differs: true, usual: "0" },
    { name: "loss_rows", value: "64", differs: false, usual: "64" },
  ]);
});

test("the flat configuration has a name for each value", () => {
  expect([...flat(SPEC)].slice(0, 6)).toEqual([
    ["model", "m"],
    ["learning_rate", "0.001"],
    ["batch_size", "4"],
    ["method.type", "dpo"],
    ["method.beta", "0.2"],
    ["adapter.type", "lora"],
  ]);
  expect(flat(SPEC).get("ist")).toContain("off");
});

test("a run's memory is read from its report", () => {
  const report = { memory: { predicted_bytes: 90, measured_bytes: 100, ratio: 0.9, parts: { weights: 50, logits: 70, probe: 0 } } };
  expect(memoryOf({ report } as unknown as Job)).toEqual({
    predicted: 90,
    measured: 100,
    ratio: 0.9,
    refusal: null,
    parts: [
      { name: "logits", bytes: 70 },
      { name: "weights", bytes: 50 },
    ],
  });
  expect(memoryOf({ report: null } as unknown as Job)).toBeNull();
});

test("an evaluation in words: what is better is known of each measure", () => {
  const evaluation = {
    rows: 8,
    scores: { exact_match: { before: 0.125, after: 0.5, rows: 8 }, json_fields: { before: 0.5, after: 0.25, rows: 6 }, choice: { before: null, after: 0.2, rows: 8 } },
    valid_loss: { before: 6.0047, after: 5.7109 },
    valid_mean_token_accuracy: { before: 0.5, after: 0.501 },
    valid_reward_accuracy: null,
  } as unknown as Evaluation;
  expect(changes(evaluation)).toEqual([
    { name: "exact match", before: "0.13", after: "0.50", by: "+0.38", isBetter: true },
    { name: "json fields, of 6 rows", before: "0.50", after: "0.25", by: "−0.25", isBetter: false },
    { name: "choice", before: "–", after: "0.20", by: null, isBetter: null },
    { name: "validation loss", before: "6.005", after: "5.711", by: "−0.2938", isBetter: true },
    { name: "token accuracy", before: "0.50", after: "0.50", by: "no change", isBetter: null },
  ]);
  expect([1, 0, 0.4, null, undefined].map(markOf)).toEqual(["right", "wrong", "partly", "unmarked", "unmarked"]);
});

test("a sample with one message can be asked again in the playground", () => {
  const of = (...input: [string, string][]) => promptOf({ input: input.map(([role, content]) => ({ role, content })) } as unknown as Sample);
  expect(of(["user", "hi"])).toEqual({ system: "", prompt: "hi" });
  expect(of(["system", "be kind"], ["user", "hi"])).toEqual({ system: "be kind", prompt: "hi" });
  expect([of(["user", "hi"], ["assistant", "yes"], ["user", "go on"]), of(["system", "be kind"]), of(["user", "x".repeat(5000)]), of()]).toEqual([null, null, null, null]);
});
