/** The plan of a form, made anew a moment after each change; an older answer never replaces a newer one. */

import { planJob } from "./api";
import type { JobRequest } from "./draft";
import { ApiError } from "./http";
import type { Plan } from "./types";

const PAUSE_MS = 350;

export class Planner {
  plan = $state.raw<Plan | null>(null);
  busy = $state(false);
  /** What the service refused, or why it did not answer. */
  error = $state.raw<ApiError | null>(null);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | null = null;

  /** Plans this request soon; null: there is nothing to plan. */
  ask(request: JobRequest | null): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.error = null;
    this.busy = request !== null;
    if (request === null) this.plan = null;
    else this.#timer = setTimeout(() => void this.#fetch(request), PAUSE_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
  }

  async #fetch(request: JobRequest): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    try {
      this.plan = await planJob(request, abort.signal);
    } catch (error) {
      if (abort.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.plan = null;
      this.error = error;
    }
    if (!abort.signal.aborted) this.busy = false;
  }
}
