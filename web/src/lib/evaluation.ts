/** How a job's answers were judged: scores before and after, and what a score says of one answer. */

import { significant } from "./format";
import type { Job, Sample } from "./types";

export type Evaluation = NonNullable<Job["evaluation"]>;
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

/** A measure before and after training, in words. */
export interface Change {
  name: string;
  before: string;
  after: string;
  /** By how much, with its sign; null: one of the two is not known. */
  by: string | null;
  isBetter: boolean | null;
}

/** The scores of the answers, then what is known without any. */
export function changes({ scores, valid_loss: loss, valid_mean_token_accuracy: accuracy, valid_reward_accuracy: reward, rows }: Evaluation): Change[] {
  const scored = Object.entries(scores).map(([name, told]) => {
    const some = told.rows < rows ? `, of ${told.rows} rows` : "";
    return change(`${scoreName(name)}${some}`, told, fixed);
  });
  return [
    ...scored,
    ...(loss ? [change("validation loss", loss, significant, -1)] : []),
    ...(accuracy ? [change("token accuracy", accuracy, fixed)] : []),
    ...(reward ? [change("preferences told", reward, fixed)] : []),
  ];
}

const fixed = (value: number | null) => value?.toFixed(2) ?? "–";

/** `better` is the sign of a change for the better. */
function change(name: string, { before, after }: { before: number | null; after: number | null }, write: (value: number | null) => string, better = 1): Change {
  const told = { name, before: write(before), after: write(after) };
  if (before === null || after === null) return { ...told, by: null, isBetter: null };
  const by = after - before;
  // What reads the same is no change.
  if (told.before === told.after) return { ...told, by: "no change", isBetter: null };
  return { ...told, by: `${by > 0 ? "+" : "−"}${write(Math.abs(by))}`, isBetter: by * better > 0 };
}

/** The names of a job's scores in the order that they were asked for. */
export function scoresOf({ evaluation, spec }: Job): string[] {
  const known = Object.keys(evaluation?.scores ?? {});
  const asked: string[] = spec.evaluation?.scores ?? [];
  return known.sort((a, b) => asked.indexOf(a) - asked.indexOf(b));
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
