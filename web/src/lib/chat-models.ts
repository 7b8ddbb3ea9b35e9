/** Whom one can talk to: tuned models with their bases, the checkpoints of a job, and bases alone. */

import { getJob, listCheckpoints, listModels } from "./api";
import type { Checkpoint, Model } from "./types";

/** What a choice stands for; a job that left no model has its checkpoints only. */
export interface Candidate {
  /** The model's name, or the job's id. */
  key: string;
  /** null: the base itself is chosen, or there are checkpoints only. */
  tuned: string | null;
  base: string;
  job: string | null;
}

export function candidates(models: readonly Model[]): Candidate[] {
  const tuned = models.filter(({ job_id }) => job_id !== null).sort((a, b) => b.created - a.created);
  const bases = models.filter(({ job_id }) => job_id === null);
  return [
    ...tuned.map(({ id, base_model, job_id }) => ({ key: id, tuned: id, base: base_model ?? "", job: job_id })),
    ...bases.map(({ id }) => ({ key: id, tuned: null, base: id, job: null })),
  ];
}

/** All candidates; a job that the address names is among them, also when it left no model. */
export async function findCandidates(job: string | null): Promise<Candidate[]> {
  const found = candidates(await listModels());
  if (job === null || found.some((candidate) => candidate.job === job)) return found;
  const { id, model } = await getJob(job);
  return [{ key: id, tuned: null, base: model, job: id }, ...found];
}

/** A job's checkpoints, newest first. */
export async function checkpointsOf({ job }: Candidate): Promise<Checkpoint[]> {
  return job === null ? [] : (await listCheckpoints(job)).sort((a, b) => b.step_number - a.step_number);
}

/** Which candidate an address means: by model, by job, else the newest. */
export function chosen(all: readonly Candidate[], model: string | null, job: string | null): Candidate | undefined {
  return all.find(({ key }) => key === model) ?? all.find((candidate) => job !== null && candidate.job === job) ?? all[0];
}
