/** Writes the defaults of a job, as openapi.json says them, to src/lib/defaults.json.
 *
 *   node scripts/defaults.mjs [--check]   --check: writes nothing, and exits with 1 when the file is not up to date */

import { readFile, writeFile } from "node:fs/promises";

const TARGET = new URL("../src/lib/defaults.json", import.meta.url);
const SCHEMAS = {
  job: "JobSpec",
  lora: "LoraSpec",
  bottleneck: "BottleneckSpec",
  ist: "IstSpec",
  dpo: "DpoSpec",
  evaluation: "EvaluationSpec",
  early_stopping: "EarlyStoppingSpec",
};

const { components } = JSON.parse(await readFile(new URL("../../openapi.json", import.meta.url), "utf8"));

/** A field that may be null and names no other default has null for one. */
function defaultOf(schema) {
  if ("default" in schema) return [schema.default];
  return schema.anyOf?.some(({ type }) => type === "null") ? [null] : [];
}

function defaults(name) {
  const { properties } = components.schemas[name];
  return Object.fromEntries(
    Object.entries(properties).flatMap(([key, schema]) => defaultOf(schema).map((value) => [key, value])),
  );
}

const text = `${JSON.stringify(Object.fromEntries(Object.entries(SCHEMAS).map(([key, name]) => [key, defaults(name)])), null, 2)}\n`;
if (process.argv.includes("--check")) {
  if ((await readFile(TARGET, "utf8").catch(() => "")) !== text) {
    console.error("src/lib/defaults.json is not what openapi.json says: run `npm run defaults`");
    process.exitCode = 1;
  }
} else await writeFile(TARGET, text);
