/** Models in the formats of other software: asked for, followed, taken away. */

import { percent, plural, significant } from "./format";
import { send, type Page } from "./http";
import type { Export } from "./types";

export type Format = Export["format"];

/** What one can ask for; the adapter itself is there without asking. */
export const FORMATS: readonly { format: Format; name: string; use: string }[] = [
  { format: "merged", name: "Merged", use: "safetensors, for transformers and vLLM" },
  { format: "gguf_f16", name: "GGUF F16", use: "for llama.cpp and Ollama" },
  { format: "gguf_q8_0", name: "GGUF Q8_0", use: "the same in about half the room" },
];

const UNDER_WAY: ReadonlySet<Export["status"]> = new Set(["queued", "running", "cancelling"]);
const part = encodeURIComponent;
const pathOf = (model: string) => `/v1/models/${part(model)}/exports`;
const pathOfOne = ({ model, id }: Export) => `${pathOf(model)}/${part(id)}`;

/** Newest first. */
export async function listExports(model: string): Promise<Export[]> {
  return (await send<Page<Export>>("GET", `${pathOf(model)}?limit=100`)).data;
}

export function askForExport(model: string, format: Format): Promise<Export> {
  return send("POST", pathOf(model), { format });
}

export function cancelExport(one: Export): Promise<Export> {
  return send("POST", `${pathOfOne(one)}/cancel`);
}

export function deleteExport(one: Export): Promise<unknown> {
  return send("DELETE", pathOfOne(one));
}

export function isUnderWay({ status }: Export): boolean {
  return UNDER_WAY.has(status);
}

/** A GGUF file by itself, since that is all there is to it; else everything as one tar. */
export function downloadPath(one: Export): string {
  const single = one.files.find(({ path }) => path.endsWith(".gguf"));
  return single ? `${pathOfOne(one)}/files/${single.path.split("/").map(part).join("/")}` : `${pathOfOne(one)}/content`;
}

/** The newest export of a format that stays here; null: there is none, or it was given up. */
export function exportOf(all: readonly Export[], format: Format): Export | null {
  const newest = all.find((one) => one.format === format && one.destination === null);
  return newest && newest.status !== "cancelled" ? newest : null;
}

/** What `manifest.json` says of the check: the export beside the model that was trained. */
interface Check {
  verdict: string;
  positions: number;
  top1_agreement: number;
  largest_difference: number;
}

export function verdictOf({ manifest }: Export): string | null {
  const check = manifest?.check as Check | undefined;
  if (!check) return null;
  const same = `the same next token at ${percent(check.top1_agreement)} of ${plural(check.positions, "place")}`;
  return `check ${check.verdict}: ${same}, logits at most ${significant(check.largest_difference)} apart`;
}
