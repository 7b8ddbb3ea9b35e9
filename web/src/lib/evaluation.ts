/** How a job's answers were judged: scores before and after, and what a score says of one answer. */

import type { Job, Sample } from "./types";

type ScoreChange = Pick<NonNullable<Job["evaluation"]>["scores"][string], "before" | "after">;
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

/** The longest prompt that an address of the page may hold. */
const MOST_LETTERS = 4000;

/** A sample's input as the playground takes it; null: it is no single message, or too long for an address. */
export function promptOf({ input }: Sample): { system: string; prompt: string } | null {
  const [first, ...rest] = input;
  const system = first?.role === "system" ? first.content : "";
  const [asked, ...more] = system === "" ? input : rest;
  if (asked?.role !== "user" || more.length > 0 || system.length + asked.content.length > MOST_LETTERS) return null;
  return { system, prompt: asked.content };
}
