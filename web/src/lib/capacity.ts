/** What the service works with: its parts, what runs now, what waits. */

import { listJobs } from "./api";
import { send } from "./http";
import type { Health, Job } from "./types";

export interface Capacity {
  health: Health;
  running: Job[];
  queued: Job[];
}

export async function getCapacity(): Promise<Capacity> {
  const [health, running, queued] = await Promise.all([
    send<Health>("GET", "/health/ready"),
    listJobs({ state: "running", limit: 100 }),
    listJobs({ state: "queued", limit: 100, order: "asc" }),
  ]);
  const place = (job: Job) => job.queue_position ?? Infinity;
  return { health, running: running.data, queued: queued.data.sort((a, b) => place(a) - place(b)) };
}
