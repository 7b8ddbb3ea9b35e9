/** A run's memory: what the planner said beside what it took, and its parts. */

import type { Job } from "./types";

export interface MemoryPart {
  name: string;
  bytes: number;
}

export interface MemoryReport {
  predicted: number | null;
  measured: number;
  ratio: number | null;
  /** Why there is no prediction. */
  refusal: string | null;
  parts: MemoryPart[];
}

/** The largest first; sums of other parts are left out. */
export function partsOf(values: Record<string, unknown>): MemoryPart[] {
  return Object.entries(values)
    .filter((pair): pair is [string, number] => typeof pair[1] === "number" && pair[1] > 0)
    .map(([name, bytes]) => ({ name: name.replace(/_bytes$/, "").replaceAll("_", " "), bytes }))
    .sort((a, b) => b.bytes - a.bytes);
}

/** null: the run has not reported yet. */
export function memoryOf(job: Job): MemoryReport | null {
  const told = job.report?.memory as Record<string, unknown> | undefined;
  if (!told || typeof told.measured_bytes !== "number") return null;
  return {
    predicted: (told.predicted_bytes as number | null) ?? null,
    measured: told.measured_bytes,
    ratio: (told.ratio as number | null) ?? null,
    refusal: (told.not_predicted as string | undefined) ?? null,
    parts: partsOf((told.parts ?? {}) as Record<string, unknown>),
  };
}
