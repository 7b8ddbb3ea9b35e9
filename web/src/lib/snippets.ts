/** Requests as code: a job by curl, the openai client, the isthmus client and the command line; a chat by curl, the openai client and the command line. */

import type { ChatRequest } from "./chat";
import type { JobRequest, Json } from "./draft";

export interface Snippet {
  name: string;
  code: string;
}

const OPENAI_KEYS = new Set(["model", "training_file", "validation_file", "hyperparameters", "method", "suffix", "seed", "metadata", "integrations"]);
const FLAGS: Readonly<Record<string, string>> = {
  model: "--model",
  training_file: "--training-file",
  validation_file: "--validation-file",
  "hyperparameters.n_epochs": "--epochs",
  "hyperparameters.batch_size": "--batch-size",
  "method.type": "--method",
  "method.dpo.hyperparameters.n_epochs": "--epochs",
  "method.dpo.hyperparameters.batch_size": "--batch-size",
  "method.dpo.hyperparameters.beta": "--beta",
  learning_rate: "--learning-rate",
  max_steps: "--max-steps",
  max_length: "--max-length",
  seed: "--seed",
  "adapter.type": "--adapter",
  "adapter.rank": "--rank",
  "ist.update_fraction": "--update-fraction",
  "evaluation.interval": "--eval-interval",
  "evaluation.rows": "--eval-rows",
  "evaluation.pattern": "--pattern",
  "early_stopping.patience": "--patience",
  select_checkpoint: "--select-checkpoint",
  suffix: "--suffix",
  priority: "--priority",
};

export function snippets(request: JobRequest, origin: string): Snippet[] {
  return [
    { name: "curl", code: curl(request, `${origin}/v1/fine_tuning/jobs`) },
    { name: "openai", code: openai(request, origin) },
    { name: "isthmus", code: isthmus(request, origin) },
    { name: "CLI", code: cli(request, origin) },
  ];
}

/** `base` is the model beside it, where there is one; the command line begins a conversation with the last message. */
export function chatSnippets(request: ChatRequest, base: string | null, origin: string): Snippet[] {
  const lines = Object.entries({ ...request, stream: true }).map(([key, value]) => `    ${key}=${python(value as unknown as Json, 4)},`);
  return [
    { name: "curl", code: curl({ ...request, stream: true }, `${origin}/v1/chat/completions`) },
    {
      name: "openai",
      code: `${openaiClient(origin)}
answer = client.chat.completions.create(
${lines.join("\n")}
)
for chunk in answer:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`,
    },
    { name: "CLI", code: chatCli(request, base, origin) },
  ];
}

function chatCli({ model, messages, ...sampling }: ChatRequest, base: string | null, origin: string): string {
  const system = messages.find(({ role }) => role === "system")?.content;
  const given: [string, string | number | null | undefined][] = [
    ["--compare", base],
    ["--system", system],
    ["--temperature", sampling.temperature],
    ["--top-p", sampling.top_p],
    ["--max-tokens", sampling.max_tokens],
    ["--seed", sampling.seed],
    ["--message", messages.at(-1)?.content],
  ];
  const flags = given.filter(([, value]) => value !== null && value !== undefined).map(([flag, value]) => `${flag} ${quote(String(value))}`);
  return `export ISTHMUS_BASE_URL=${origin}
isthmus chat ${[quote(model), ...flags].join(" \\\n  ")}`;
}

function curl(request: object, address: string): string {
  const body = JSON.stringify(request, null, 2).replaceAll("'", "'\\''");
  return `curl ${address} \\
  -H "Authorization: Bearer $ISTHMUS_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '${body}'`;
}

function openai(request: JobRequest, origin: string): string {
  const known = Object.entries(request).filter(([key]) => OPENAI_KEYS.has(key));
  const extra = Object.fromEntries(Object.entries(request).filter(([key]) => !OPENAI_KEYS.has(key)));
  const lines = known.map(([key, value]) => `    ${key}=${python(value, 4)},`);
  if (Object.keys(extra).length > 0) lines.push(`    extra_body=${python(extra, 4)},`);
  return `${openaiClient(origin)}
job = client.fine_tuning.jobs.create(
${lines.join("\n")}
)
print(job.id)`;
}

function openaiClient(origin: string): string {
  return `import os

from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key=os.environ["ISTHMUS_API_KEY"])`;
}

function isthmus(request: JobRequest, origin: string): string {
  const lines = Object.entries(request).map(([key, value]) => `        ${key}=${python(value, 8)},`);
  return `from isthmus import Isthmus

# The key is read from ISTHMUS_API_KEY.
with Isthmus(base_url="${origin}") as client:
    job = client.jobs.create(
${lines.join("\n")}
    )
    print(job.wait().fine_tuned_model)`;
}

function cli(request: JobRequest, origin: string): string {
  const parts = [...leaves(request)].map(([path, value]) => {
    if (path === "ist" && value === null) return "--every-layer";
    if (path.startsWith("metadata.")) return `--metadata ${quote(`${path.slice(9)}=${String(value)}`)}`;
    const flag = FLAGS[path];
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return flag ? `${flag} ${quote(text)}` : `--set ${quote(`${path}=${text}`)}`;
  });
  return `export ISTHMUS_BASE_URL=${origin}
isthmus jobs create \\
  ${parts.join(" \\\n  ")} \\
  --watch`;
}

/** The values of a request by their dotted names. */
function* leaves(value: JobRequest, prefix = ""): Generator<[string, Json]> {
  for (const [key, item] of Object.entries(value)) {
    if (item !== null && typeof item === "object" && !Array.isArray(item) && Object.keys(item).length > 0) yield* leaves(item, `${prefix}${key}.`);
    else yield [`${prefix}${key}`, item];
  }
}

function quote(text: string): string {
  return /^[\w./:=@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A value as Python writes it; objects over several lines, `indent` spaces in. */
function python(value: Json, indent: number): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => python(item, indent)).join(", ")}]`;
  const items = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${python(item, indent + 4)}`);
  const line = `{${items.join(", ")}}`;
  const pad = " ".repeat(indent);
  return line.length + indent < 90 ? line : `{\n${items.map((item) => `${pad}    ${item},`).join("\n")}\n${pad}}`;
}
