/** How a job's answers were judged: scores before and after, and what a score says of one answer. */

import type { Job } from "./types";

type ScoreChange = NonNullable<Job["evaluation"]>["scores"][string];
export type Mark = "right" | "wrong" | "partly" | "unmarked";

/** A score's name for people. */
export function scoreName(name: string): string {
  return name.replaceAll("_", " ");
}

/** A score as a sign: 1 is right, 0 is wrong. */
export function markOf(score: number | null | undefined): Mark {
  if (score == null) return "unmarked";
  return score >= 1 ? "right" : score <= 0 ? "wrong" : "partly";
}

/** "+0.25" */
export function change({ before, after }: ScoreChange): string | null {
  if (before === null || after === null) return null;
  const by = after - before;
  return by === 0 ? "no change" : `${by > 0 ? "+" : "−"}${Math.abs(by).toFixed(2)}`;
}
