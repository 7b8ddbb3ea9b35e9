import { expect, test } from "vitest";

import { downloadPath, exportOf, isUnderWay, verdictOf } from "./exports";
import type { Export } from "./types";

const made = (values: Partial<Export>) => ({ id: "export-1", model: "ft:m:x", format: "merged", status: "succeeded", destination: null, files: [], manifest: null, ...values }) as Export;

test("a GGUF file is downloaded by itself, anything else as one archive", () => {
  const file = (path: string) => ({ path, bytes: 1, sha256: "" });
  expect(downloadPath(made({ files: [file("model.safetensors"), file("config.json")] }))).toBe("/v1/models/ft%3Am%3Ax/exports/export-1/content");
  expect(downloadPath(made({ files: [file("manifest.json"), file("a b.gguf")] }))).toBe("/v1/models/ft%3Am%3Ax/exports/export-1/files/a%20b.gguf");
});

test("the newest export that stays here counts, and one that was given up is none", () => {
  const hub = { type: "hub", repo_id: "a/b", private: true, url: null } as const;
  const all = [made({ id: "pushed", destination: hub }), made({ id: "new", status: "running" }), made({ id: "old" }), made({ id: "given-up", format: "gguf_f16", status: "cancelled" }), made({ id: "before", format: "gguf_f16" })];
  expect([exportOf(all, "merged")?.id, exportOf(all, "gguf_f16"), exportOf(all, "gguf_q8_0")]).toEqual(["new", null, null]);
  expect((["queued", "running", "cancelling", "succeeded", "failed", "cancelled"] as const).map((status) => isUnderWay(made({ status })))).toEqual([true, true, true, false, false, false]);
});

test("the check's verdict in words", () => {
  const check = { verdict: "passed", positions: 96, top1_agreement: 0.99, largest_difference: 0.0123 };
  expect(verdictOf(made({ manifest: { check } }))).toBe("check passed: the same next token at 99 % of 96 places, logits at most 0.0123 apart");
  expect(verdictOf(made({}))).toBeNull();
});
