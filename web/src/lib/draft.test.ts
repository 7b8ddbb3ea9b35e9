import { expect, test } from "vitest";

import { chatRequest } from "./chat";
import { fieldOf, fromJob, pairs, toRequest } from "./draft";
import { applies, FIELDS, freshValues } from "./fields";
import { peakParts, withChange } from "./plan";
import { chatSnippets, snippets } from "./snippets";
import type { Job, Plan } from "./types";

const filled = (values: Record<string, string>) => ({ ...freshValues(), model: "m", training_file: "file-1", ...values });

test("a form that nobody has changed asks for the defaults by leaving them out", () => {
  expect(toRequest(filled({}))).toEqual({ model: "m", training_file: "file-1" });
});

test("what is changed stands where the request has it, as numbers, texts and flags", () => {
  const values = filled({
    validation_file: "file-2",
    n_epochs: "2",
    learning_rate: "3e-4",
    "adapter.rank": "8",
    "adapter.dora": "true",
    "adapter.target_modules": "q_proj, v_proj",
    "ist.update_fraction": "0.4",
    "ist.warmup_steps": "20",
    max_steps: "100",
    suffix: "mine",
    metadata: "team=search, run=a=b, half",
    priority: "high",
  });
  expect(toRequest(values)).toEqual({
    model: "m",
    training_file: "file-1",
    validation_file: "file-2",
    hyperparameters: { n_epochs: 2 },
    learning_rate: 0.0003,
    adapter: { rank: 8, dora: true, target_modules: ["q_proj", "v_proj"] },
    ist: { update_fraction: 0.4, warmup_steps: 20 },
    max_steps: 100,
    suffix: "mine",
    metadata: { team: "search", run: "a=b" },
    priority: "high",
  });
});

test("settings that mean nothing with the others are left out", () => {
  const dense = filled({ ist: "false", "ist.update_fraction": "0.4", beta: "0.3" });
  expect(toRequest(dense)).toEqual({ model: "m", training_file: "file-1", ist: null });
  const bottleneck = filled({ "adapter.type": "bottleneck", "adapter.rank": "8", "adapter.size": "32" });
  expect(toRequest(bottleneck).adapter).toEqual({ type: "bottleneck", size: 32 });
});

test("what is measured needs a validation file, and stands in parts of its own", () => {
  const wanted = {
    "evaluation.rows": "20",
    "evaluation.scores": "exact_match, regex",
    "evaluation.pattern": "\\d+",
    "evaluation.choices": "a, b",
    "evaluation.full_rows": "all",
    early_stopping: "true",
    select_checkpoint: "best",
  };
  expect(toRequest(filled(wanted))).toEqual({ model: "m", training_file: "file-1" });
  const request = toRequest(filled({ ...wanted, validation_file: "file-2" }));
  expect(request).toEqual({
    model: "m",
    training_file: "file-1",
    validation_file: "file-2",
    evaluation: { rows: 20, scores: ["exact_match", "regex"], pattern: "\\d+", full_rows: null },
    early_stopping: {},
    select_checkpoint: "best",
  });
  const spec = { ...request, ist: {}, early_stopping: { patience: 3, min_delta: 0 }, evaluation: { ...(request.evaluation as object), interval: null, choices: null } };
  expect(toRequest(fromJob({ spec, suffix: null, metadata: {} } as unknown as Job))).toEqual(request);
  // No score at all is the service's to refuse, and it says which field.
  expect(toRequest(filled({ ...wanted, validation_file: "file-2", "evaluation.scores": "" })).evaluation).toEqual({ rows: 20, scores: [], full_rows: null });
  expect(fieldOf("evaluation.scores.0")).toBe("evaluation.scores");
  const cli = snippets(request, "http://h")[3]?.code;
  for (const part of ["--eval-rows 20", `--set 'evaluation.scores=["exact_match","regex"]'`, "--pattern '\\d+'", "--set 'early_stopping={}'", "--select-checkpoint best"]) expect(cli).toContain(part);
});

test("preference training has its hyperparameters within the method", () => {
  const values = filled({ "method.type": "dpo", n_epochs: "1", beta: "0.2" });
  expect(toRequest(values)).toEqual({
    model: "m",
    training_file: "file-1",
    method: { type: "dpo", dpo: { hyperparameters: { n_epochs: 1, beta: 0.2 } } },
  });
  expect(toRequest(filled({ "method.type": "dpo" })).method).toEqual({ type: "dpo" });
});

test("what is no number goes to the service as it was typed, which says what is wrong", () => {
  expect(toRequest(filled({ max_steps: "many" })).max_steps).toBe("many");
});

test("a job is a template for another", () => {
  const spec = { model: "m", training_file: "file-1", validation_file: null, n_epochs: 3, batch_size: 4, learning_rate: 0.001, seed: 7, max_steps: null, method: { type: "dpo", beta: 0.3 }, adapter: { type: "lora", rank: 4, alpha: null, dropout: 0, dora: false, rslora: false, target_modules: ["q"] }, ist: null };
  const request = toRequest(fromJob({ spec, suffix: "old", metadata: { a: "b" } } as unknown as Job));
  expect(request).toEqual({
    model: "m",
    training_file: "file-1",
    method: { type: "dpo", dpo: { hyperparameters: { n_epochs: 3, batch_size: 4, beta: 0.3 } } },
    seed: 7,
    adapter: { rank: 4, target_modules: ["q"] },
    ist: null,
    suffix: "old",
    metadata: { a: "b" },
  });
});

test("an error finds its field", () => {
  expect([fieldOf("adapter.rank"), fieldOf("hyperparameters.n_epochs"), fieldOf("method.dpo.hyperparameters.beta"), fieldOf("model")]).toEqual(["adapter.rank", "n_epochs", "beta", "model"]);
  expect([fieldOf(null), fieldOf("nothing")]).toEqual([null, null]);
  expect(pairs(" a = b ,c")).toEqual({ a: "b" });
});

test("every choice of the form has its default among the choices", () => {
  for (const { name, kind, choices, usual } of FIELDS) if (kind === "choice") expect(choices, name).toContain(usual);
  expect(new Set(FIELDS.map(({ name }) => name)).size).toBe(FIELDS.length);
  expect(FIELDS.filter((field) => applies(field, freshValues())).length).toBeGreaterThan(20);
});

test("the code says what the form says", () => {
  const request = toRequest(filled({ n_epochs: "2", suffix: "it's", ist: "false", "adapter.dora": "true", "adapter.target_modules": "q_proj", metadata: "team=a b", learning_rate: "0.01" }));
  const [curl, openai, isthmus, cli] = snippets(request, "http://h").map(({ code }) => code);
  expect(curl).toContain("http://h/v1/fine_tuning/jobs");
  expect(curl).toContain("it'\\''s");
  expect(JSON.parse((curl?.split("-d '")[1] ?? "").slice(0, -1).replaceAll("'\\''", "'"))).toEqual(request);
  expect(openai).toContain('base_url="http://h/v1"');
  for (const line of ['    hyperparameters={"n_epochs": 2},', '        "adapter": {"target_modules": ["q_proj"], "dora": True},', '        "ist": None,']) expect(openai).toContain(line);
  expect(isthmus).toContain('with Isthmus(base_url="http://h") as client:');
  expect(isthmus).toContain("        ist=None,");
  for (const part of ["--epochs 2", "--every-layer", "--learning-rate 0.01", "--metadata 'team=a b'", "--set adapter.dora=true", "--suffix 'it'\\''s'"]) expect(cli).toContain(part);
  expect(cli).toContain(`--set 'adapter.target_modules=["q_proj"]'`);
});

const PLAN = {
  peak_bytes: 100,
  memory: { runtime: 10, libraries: 5, data: 5, weights: 30, adapters: 4, gradients: 3, optimizer: 3, activations_worst: 20, logits: 5, transient: 9 },
} as unknown as Plan;

test("the parts of a plan make up its peak, also where loading is the peak", () => {
  expect(peakParts(PLAN).map(({ bytes }) => bytes)).toEqual([20, 30, 10, 20, 9, 11]);
  const loading = peakParts({ ...PLAN, peak_bytes: 45 });
  expect(loading.map(({ bytes }) => bytes)).toEqual([20, 25]);
});

test("a proposed change goes into the form", () => {
  const changed = withChange(filled({ ist: "false" }), { micro_batch_size: 2, ist: { update_fraction: 0.25, policy: "static" } });
  expect([changed.micro_batch_size, changed.ist, changed["ist.update_fraction"], changed["ist.policy"]]).toEqual(["2", "true", "0.25", "static"]);
});

test("a chat as code", () => {
  const request = chatRequest("ft:m", [{ role: "user", content: "it's" }], { temperature: 0, top_p: null, max_tokens: 9, seed: null });
  const [curl, openai, cli] = chatSnippets(request, "m", "http://h").map(({ code }) => code);
  expect(curl).toContain("curl http://h/v1/chat/completions");
  expect(JSON.parse((curl?.split("-d '")[1] ?? "").slice(0, -1).replaceAll("'\\''", "'"))).toEqual({ ...request, stream: true });
  for (const line of ['    model="ft:m",', '    messages=[{"role": "user", "content": "it\'s"}],', "    temperature=0,", "    stream=True,"]) expect(openai).toContain(line);
  expect(cli).toBe("export ISTHMUS_BASE_URL=http://h\nisthmus chat ft:m \\\n  --compare m \\\n  --temperature 0 \\\n  --max-tokens 9 \\\n  --message 'it'\\''s'");
});
