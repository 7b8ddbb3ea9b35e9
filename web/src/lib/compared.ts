/** Fetches what a comparison needs of one job. */

import { ApiError, getFile, getImportance, getJob } from "./api";
import type { Compared } from "./comparison";
import { ImportanceSeries } from "./importance-series";
import { getKnownMetrics } from "./live.svelte";
import { MetricSeries } from "./metric-series";
import type { Job } from "./types";

const POINTS = 600;
const SCORE_POINTS = 100;

export async function fetchCompared(id: string): Promise<Compared> {
  const job = await getJob(id);
  const metrics = new MetricSeries();
  const importance = new ImportanceSeries();
  const [told, scores, file] = await Promise.all([
    getKnownMetrics(id, { points: POINTS }),
    getImportance(id, { points: SCORE_POINTS }),
    fileOf(job),
  ]);
  metrics.load(told);
  importance.load(scores);
  return { job, metrics, importance, ...file };
}

async function fileOf(job: Job): Promise<{ hash: string | null; filename: string }> {
  try {
    const { sha256, filename } = await getFile(job.training_file);
    return { hash: sha256, filename };
  } catch (error) {
    // A deleted file has no name any more; its jobs are still known by its id.
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    return { hash: null, filename: `${job.training_file} (deleted)` };
  }
}
