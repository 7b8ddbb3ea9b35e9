/** A form's values as the request that creates a job: what is the default is left out. */

import { applies, FIELDS, freshValues, type Field, type Values } from "./fields";
import type { Job } from "./types";

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JobRequest = { [key: string]: Json };

/** Settings that stand among the method's hyperparameters. */
const HYPERPARAMETERS = new Set(["n_epochs", "batch_size", "beta"]);
const SPECIAL = new Set([...HYPERPARAMETERS, "method.type", "metadata", "ist", "adapter.type", "early_stopping"]);
/** Settings that are lists, typed with commas between. */
const LISTS = new Set(["adapter.target_modules", "evaluation.scores", "evaluation.choices"]);

export function toRequest(values: Values): JobRequest {
  const request: JobRequest = { model: values.model ?? "", training_file: values.training_file ?? "" };
  if (values.validation_file) request.validation_file = values.validation_file;
  Object.assign(request, hyperparameters(values));
  for (const field of FIELDS) {
    const text = values[field.name]?.trim() ?? "";
    if (SPECIAL.has(field.name) || text === field.usual || (text === "" && field.kind !== "several") || !applies(field, values)) continue;
    place(request, field.name, valueOf(field, text));
  }
  if (values["adapter.type"] === "bottleneck") place(request, "adapter.type", "bottleneck");
  if (values.ist === "false") request.ist = null;
  if (values.validation_file && values.early_stopping === "true") request.early_stopping ??= {};
  const metadata = pairs(values.metadata ?? "");
  if (Object.keys(metadata).length > 0) request.metadata = metadata;
  return request;
}

/** OpenAI's place for these depends on the method. */
function hyperparameters(values: Values): JobRequest {
  const given = FIELDS.filter((field) => HYPERPARAMETERS.has(field.name) && applies(field, values))
    .map((field) => [field.name, values[field.name]?.trim() ?? "", field] as const)
    .filter(([, text, field]) => text !== "" && text !== field.usual)
    .map(([name, text, field]) => [name, valueOf(field, text)] as const);
  const found = Object.fromEntries(given);
  const some = given.length > 0;
  if (values["method.type"] === "dpo") return { method: { type: "dpo", ...(some ? { dpo: { hyperparameters: found } } : {}) } };
  return some ? { hyperparameters: found } : {};
}

function valueOf(field: Field, text: string): Json {
  if (field.kind === "flag") return text === "true";
  if (text === field.nothing) return null;
  if (LISTS.has(field.name)) return text.split(",").map((name) => name.trim()).filter(Boolean);
  if (field.kind === "choice" || field.kind === "text") return text;
  // What is no number is sent as it was typed: the service says what is wrong with it.
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
}

function place(request: JobRequest, path: string, value: Json): void {
  const [name, inner] = path.split(".") as [string, string?];
  if (inner === undefined) request[name] = value;
  else request[name] = { ...(request[name] as JobRequest | undefined), [inner]: value };
}

/** "team=search, run=3" as an object; what has no `=` is left out until it has one. */
export function pairs(text: string): Record<string, string> {
  const found = text.split(",").map((pair) => pair.split("="));
  return Object.fromEntries(
    found.filter(([key, ...rest]) => key?.trim() && rest.length > 0).map(([key, ...rest]) => [key?.trim() ?? "", rest.join("=").trim()]),
  );
}

/** The form for another job like this one. */
export function fromJob(job: Job): Values {
  const values = freshValues();
  const spec = job.spec as unknown as Record<string, unknown>;
  const set = (name: string, value: unknown) => {
    const nothing = FIELDS.find((field) => field.name === name)?.nothing ?? "";
    if (name in values) values[name] = value === null ? nothing : Array.isArray(value) ? value.join(", ") : String(value);
  };
  for (const [name, value] of Object.entries(spec)) {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) {
      for (const [inner, item] of Object.entries(value)) set(inner === "beta" ? "beta" : `${name}.${inner}`, item);
    } else if (name !== "ist" && name !== "early_stopping") set(name, value);
  }
  if (spec.early_stopping) values.early_stopping = "true";
  values.ist = spec.ist === null ? "false" : "true";
  values.suffix = job.suffix ?? "";
  values.metadata = Object.entries(job.metadata).map(([key, value]) => `${key}=${value}`).join(", ");
  return values;
}

/** The form's name of what an error of the service is about. */
export function fieldOf(param: string | null): string | null {
  if (param === null) return null;
  const name = param.replace(/^(method\.(supervised|dpo)\.)?hyperparameters\./, "").replace(/\.\d+$/, "");
  return name in freshValues() ? name : null;
}
