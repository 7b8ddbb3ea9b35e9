/** How a job's answers were judged: scores before and after, and what a score says of one answer. */

import type { Job } from "./types";

export interface ScoreChange {
  name: string;
  before: number | null;
  after: number | null;
}

export interface Evaluation {
  /** Rows that both models answered. */
  rows: number;
  scores: ScoreChange[];
  bestStep: number | null;
  stoppedEarly: boolean;
}

export type Mark = "right" | "wrong" | "partly" | "unmarked";

/** null: the job has measured nothing, or not yet. */
export function evaluationOf(job: Job): Evaluation | null {
  const told = job.report?.evaluation as Record<string, unknown> | null | undefined;
  if (!told) return null;
  const scores = Object.entries((told.scores ?? {}) as Record<string, { before: number | null; after: number | null }>);
  return {
    rows: (told.rows as number | undefined) ?? 0,
    scores: scores.map(([name, { before, after }]) => ({ name, before, after })),
    bestStep: (told.best_step as number | null | undefined) ?? null,
    stoppedEarly: told.stopped_early === true,
  };
}

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
