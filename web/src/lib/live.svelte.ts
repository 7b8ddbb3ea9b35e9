/** A job as the page sees it: its past in bounded room, then its stream; the page is told once a frame.
 *
 * Nothing is lost between the two: the job is read first, its `last_seq` is the stream's cursor, and what the past holds
 * already is known by its step or event id. */

import { ApiError, getImportance, getJob, getMetrics, listEvents, listMetrics, type Window } from "./api";
import { ImportanceSeries } from "./importance-series";
import { METRICS, MetricSeries } from "./metric-series";
import { backoff, JobStream, streamAddress, type Link } from "./stream";
import type { Frame, Job, JobEvent, Metrics } from "./types";

export const POINTS = 1200;
/** Further behind than this (a laptop that slept), reading the past again is quicker than following it. */
const FAR_BEHIND = 5000;
const MOST_EVENTS = 500;

export class LiveJob {
  readonly id: string;
  readonly metrics = new MetricSeries();
  readonly importance = new ImportanceSeries();
  job = $state.raw<Job | null>(null);
  events = $state.raw<JobEvent[]>([]);
  /** Goes up when a series has grown; read it to be run again. */
  version = $state(0);
  link = $state<Link>({ kind: "connecting" });
  readonly #onfailure: () => void;
  #stream: JobStream | null = null;
  #cursor = 0;
  #frame: number | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #failures = 0;
  #waiting: Frame[] = [];
  #stopped = false;

  constructor(id: string, onfailure: () => void) {
    this.id = id;
    this.#onfailure = onfailure;
  }

  start(): void {
    void this.#load();
  }

  stop(): void {
    this.#stopped = true;
    this.#stream?.stop();
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
  }

  /** Tries at once instead of waiting; for when the network or the tab comes back. */
  retryNow(): void {
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
      void this.#load();
    } else this.#stream?.retryNow();
  }

  /** After sleep or another network: a connection may be dead without knowing it. */
  wake(): void {
    if (this.#timer !== null) this.retryNow();
    else this.#stream?.renew();
  }

  async #load(): Promise<void> {
    this.#timer = null;
    this.#stream?.stop();
    this.link = { kind: "connecting" };
    try {
      const job = await getJob(this.id);
      const window = { points: POINTS };
      const [metrics, importance, events] = await Promise.all([
        getKnownMetrics(this.id, window),
        getImportance(this.id, window),
        listEvents(this.id),
      ]);
      if (this.#stopped) return;
      this.metrics.load(metrics);
      this.importance.load(importance);
      this.events = events.reverse();
      this.job = job;
      this.#cursor = job.last_seq;
      this.#failures = 0;
      this.version++;
      this.#follow();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!this.#stopped) this.#failed(error);
    }
  }

  #failed(error: ApiError): void {
    if (error.status >= 400 && error.status < 500 && error.status !== 429) {
      this.link = { kind: "refused", reason: error.message };
      this.#onfailure();
      return;
    }
    const seconds = backoff(this.#failures++);
    this.link = { kind: "waiting", seconds };
    this.#timer = setTimeout(() => void this.#load(), seconds * 1000);
  }

  #follow(): void {
    this.#stream = new JobStream({
      open: (cursor) => new WebSocket(streamAddress(location, this.id, cursor)),
      cursor: () => this.#cursor,
      onframe: (frame) => this.#receive(frame),
      onlink: (link) => (this.link = link),
      onfailure: this.#onfailure,
    });
    this.#stream.start();
  }

  #receive(frame: Frame): void {
    if (frame.type === "job" && frame.data.last_seq - this.#cursor > FAR_BEHIND) {
      void this.#load();
      return;
    }
    if ("seq" in frame && frame.type !== "job") {
      if (frame.seq <= this.#cursor) return;
      this.#cursor = frame.seq;
    }
    this.#waiting.push(frame);
    // A hidden tab draws nothing, and takes its frames in all the same.
    if (document.hidden) this.#apply();
    else this.#frame ??= requestAnimationFrame(() => this.#apply());
  }

  #apply(): void {
    this.#frame = null;
    const frames = this.#waiting;
    this.#waiting = [];
    let job = this.job;
    const events: JobEvent[] = [];
    let newest: number | null = null;
    for (const frame of frames) {
      if (frame.type === "job") job = frame.data;
      else if (frame.type === "event") events.push(frame.data);
      else if (frame.type === "step") {
        this.metrics.append(frame.data);
        if (this.importance.append(frame.data)) newest = frame.data.time;
        if (job && frame.data.step > job.step) job = { ...job, step: frame.data.step };
      }
    }
    this.job = job;
    if (events.length > 0) {
      const known = new Set(this.events.map(({ id }) => id));
      const fresh = events.filter(({ id }) => !known.has(id));
      this.events = [...this.events, ...fresh].slice(-MOST_EVENTS);
    }
    this.version++;
    if (newest !== null) noteDelay(newest);
  }
}

/** The metrics that are drawn, as far as the job has told of them. */
export async function getKnownMetrics(id: string, window: Window, signal?: AbortSignal): Promise<Metrics> {
  const told = new Set(await listMetrics(id));
  return getMetrics(id, METRICS.filter((metric) => told.has(metric)), window, signal);
}

/** Leaves the time from a step's end to its picture in the browser's own timeline, where tools can read it. */
function noteDelay(stepTime: number): void {
  const start = stepTime * 1000 - performance.timeOrigin;
  requestAnimationFrame(() => {
    performance.clearMeasures("step-to-pixel");
    performance.measure("step-to-pixel", { start: Math.max(0, start), end: performance.now() });
  });
}
