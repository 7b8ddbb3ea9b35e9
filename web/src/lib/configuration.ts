/** A job's spec as rows to read: groups, names for people, and the values as they were resolved. */

import defaults from "./defaults.json";
import { plain } from "./format";
import type { Job } from "./types";

export interface Row {
  name: string;
  value: string;
  /** Whether it is another than the default. */
  differs: boolean;
  /** The default, where there is one. */
  usual: string | null;
}

export interface Group {
  title: string;
  rows: Row[];
}

type Values = Record<string, unknown>;

/** Parts of the spec with a block of their own; null stands for a part that is switched off, which may be the default. */
const PARTS = [
  { key: "method", title: "Method", off: "supervised", isUsual: false },
  { key: "adapter", title: "Adapter", off: "none", isUsual: false },
  { key: "ist", title: "Importance-aware sparse tuning", off: "off: every layer in every step", isUsual: false },
  { key: "evaluation", title: "Evaluation", off: "the defaults", isUsual: true },
  { key: "early_stopping", title: "Early stopping", off: "off", isUsual: true },
] as const;

/** What every job has of its own: to differ in these says nothing. */
const OWN = new Set(["model", "training_file", "seed"]);

/** The spec's own keys are the names, so that what is read here can be written in a request. */
export function configuration(spec: Job["spec"]): Group[] {
  const values: Values = { ...spec };
  const parts = PARTS.filter(({ key }) => key in values).map(({ key, title, off, isUsual }) => {
    const part = values[key] as Values | null;
    const row = { name: key, value: off, differs: !isUsual, usual: null };
    return { title, rows: part === null ? [row] : rows(part, usualOf(key, part)) };
  });
  const inner = new Set<string>(PARTS.map(({ key }) => key));
  const training = Object.fromEntries(Object.entries(values).filter(([key]) => !inner.has(key)));
  return [{ title: "Training", rows: rows(training, defaults.job) }, ...parts];
}

/** The spec as one flat list, `adapter.rank` and the like, for comparing jobs. */
export function flat(spec: Job["spec"]): Map<string, string> {
  const [training, ...parts] = configuration(spec);
  const prefixes = PARTS.filter(({ key }) => key in (spec as Values)).map(({ key }) => key);
  const pairs = (training?.rows ?? []).map(({ name, value }) => [name, value] as const);
  parts.forEach(({ rows }, at) => {
    for (const { name, value } of rows) pairs.push([name === prefixes[at] ? name : `${prefixes[at]}.${name}`, value]);
  });
  return new Map(pairs);
}

function usualOf(key: string, part: Values): Values {
  if (key === "ist" || key === "evaluation" || key === "early_stopping") return defaults[key];
  if (key === "adapter") return part.type === "bottleneck" ? { ...defaults.bottleneck, type: "lora" } : defaults.lora;
  return part.type === "dpo" ? { ...defaults.dpo, type: "supervised" } : { type: "supervised" };
}

function rows(values: Values, usual: Values): Row[] {
  return Object.entries(values).map(([name, value]) => ({
    name,
    value: text(value),
    differs: !OWN.has(name) && text(value) !== text(usual[name]),
    usual: name in usual ? text(usual[name]) : null,
  }));
}

function text(value: unknown): string {
  if (value === null || value === undefined) return "not set";
  if (typeof value === "number") return plain(value);
  if (Array.isArray(value)) return value.map(text).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
