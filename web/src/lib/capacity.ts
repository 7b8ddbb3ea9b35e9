/** What the service works with: its parts, its workers, what runs now, what waits. */

import { listJobs } from "./api";
import { send, type Page } from "./http";
import type { Health, Job, Worker } from "./types";

export interface Capacity {
  health: Health;
  workers: Worker[];
  running: Job[];
  queued: Job[];
}

export async function getCapacity(): Promise<Capacity> {
  const [health, workers, running, queued] = await Promise.all([
    send<Health>("GET", "/health/ready"),
    send<Page<Worker>>("GET", "/v1/fine_tuning/workers"),
    listJobs({ state: "running", limit: 100 }),
    listJobs({ state: "queued", limit: 100, order: "asc" }),
  ]);
  const place = (job: Job) => job.queue_position ?? Infinity;
  return { health, workers: workers.data, running: running.data, queued: queued.data.sort((a, b) => place(a) - place(b)) };
}
