/** A list of jobs in pages, of which the first is asked for again and again. */

import type { Job } from "./types";

/** The newest answer for the list's beginning, then what is known beyond it.
 *
 * A job that belongs within the beginning and is not there any more (it changed, and does not match the filter) is left
 * out; one that newer jobs have pushed out of the beginning stays. */
export function withBeginning(known: readonly Job[], fresh: readonly Job[], hasMore: boolean, order: "asc" | "desc"): Job[] {
  const last = fresh.at(-1);
  if (!last || !hasMore) return [...fresh];
  const sign = order === "asc" ? 1 : -1;
  const beyond = (job: Job) => (job.created_at - last.created_at) * sign >= 0;
  const ids = new Set(fresh.map(({ id }) => id));
  return [...fresh, ...known.filter((job) => !ids.has(job.id) && beyond(job))];
}

/** What is known with a further page behind it. */
export function withPage(known: readonly Job[], page: readonly Job[]): Job[] {
  const ids = new Set(known.map(({ id }) => id));
  return [...known, ...page.filter(({ id }) => !ids.has(id))];
}
