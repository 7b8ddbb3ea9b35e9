/** A job's spec as rows to read: groups, names for people, and the values as they were resolved. */

import { plain } from "./format";
import type { Job } from "./types";

export interface Row {
  name: string;
  value: string;
}

export interface Group {
  title: string;
  rows: Row[];
}

type Values = Record<string, unknown>;

/** Parts of the spec with a block of their own; null stands for a part that is switched off. */
const PARTS = [
  { key: "method", title: "Method", off: "supervised" },
  { key: "adapter", title: "Adapter", off: "none" },
  { key: "ist", title: "Importance-aware sparse tuning", off: "off: every layer in every step" },
] as const;

/** The spec's own keys are the names, so that what is read here can be written in a request. */
export function configuration(job: Job): Group[] {
  const spec: Values = job.spec ?? {};
  const parts = PARTS.filter(({ key }) => key in spec).map(({ key, title, off }) => {
    const values = spec[key] as Values | null;
    return { title, rows: values === null ? [{ name: key, value: off }] : rows(values) };
  });
  const inner = new Set<string>(PARTS.map(({ key }) => key));
  const training = Object.fromEntries(Object.entries(spec).filter(([key]) => !inner.has(key)));
  return [{ title: "Training", rows: rows(training) }, ...parts];
}

function rows(values: Values): Row[] {
  return Object.entries(values).map(([name, value]) => ({ name, value: text(value) }));
}

function text(value: unknown): string {
  if (value === null || value === undefined) return "not set";
  if (typeof value === "number") return plain(value);
  if (Array.isArray(value)) return value.map(text).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
