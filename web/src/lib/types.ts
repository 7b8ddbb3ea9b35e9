/** The wire's shapes, by the names that the dashboard uses for them. */

export type State =
  | "validating_files"
  | "queued"
  | "running"
  | "paused"
  | "succeeded"
  | "failed"
  | "cancelled";

export interface JobError {
  code: string;
  message: string;
  param: string | null;
}

/** What the page reads of a fine-tuning job; the rest of OpenAI's fields pass through unread. */
export interface Job {
  id: string;
  created_at: number;
  started_at?: number | null;
  finished_at: number | null;
  state: State;
  model: string;
  fine_tuned_model: string | null;
  training_file: string;
  validation_file: string | null;
  trained_tokens: number | null;
  error: JobError | null;
  step?: number;
  total_steps?: number | null;
  layers?: number | null;
  spec?: Record<string, unknown>;
  report?: Record<string, unknown> | null;
}

export interface JobEvent {
  id: string;
  created_at: number;
  level: "info" | "warn" | "error";
  message: string;
}

/** One optimizer step. `importance` holds a score a layer; `active` the layers updated in this step. */
export interface StepRecord {
  step: number;
  time: number;
  metrics: Record<string, number | null>;
  importance: number[];
  active: number[];
}

export type Frame =
  | { type: "job"; seq: number; data: Job }
  | { type: "event"; seq: number; data: JobEvent }
  | { type: "step"; seq: number; data: StepRecord }
  | { type: "end" };

/** Says why the stream is refused; a close code of the 44xx kind follows. */
export interface ErrorFrame {
  type: "error";
  error: { message: string; code: string | null };
}

const ENDED: ReadonlySet<State> = new Set(["succeeded", "failed", "cancelled"]);

export function hasEnded(state: State): boolean {
  return ENDED.has(state);
}
