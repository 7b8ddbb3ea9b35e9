/** The wire's shapes, by the names that the dashboard uses for them; generated from openapi.json. */

import type { components } from "./openapi";

type Schemas = components["schemas"];

export type Job = Schemas["JobObject"];
export type State = Job["state"];
export type JobError = Schemas["JobFailure"];
export type JobEvent = Schemas["EventObject"];
/** One optimizer step. `importance` holds a score a layer; `active` the layers updated in this step. */
export type StepRecord = Schemas["StepObject"];
export type Metrics = Schemas["MetricsObject"];
export type Importance = Schemas["ImportanceObject"];
export type Artifact = Schemas["ArtifactObject"];
export type Checkpoint = Schemas["CheckpointObject"];
/** A row of the validation file as base and tuned model answered it. */
export type Sample = Schemas["SampleObject"];
export type StoredFile = Schemas["FileObject"];
export type Tokens = Schemas["TokensObject"];
export type Plan = Schemas["PlanObject"];
export type Model = Schemas["ModelObject"];
/** A model in another format, or on its way there. */
export type Export = Schemas["ExportObject"];
export type Project = Schemas["ProjectObject"];
export type Key = Schemas["KeyObject"];
export type NewKey = Schemas["NewKeyObject"];
export type Worker = Schemas["WorkerObject"];
export type Health = Schemas["HealthObject"];
export type Quota = Schemas["QuotaObject"];
/** Says why the stream is refused; a close code of the 44xx kind follows. */
export type ErrorFrame = Schemas["ErrorFrame"];
export type Frame = Exclude<Schemas["StreamFrame"], ErrorFrame>;

const ENDED: ReadonlySet<State> = new Set(["succeeded", "failed", "cancelled"]);

export function hasEnded(state: State): boolean {
  return ENDED.has(state);
}

export const WORDS: Readonly<Record<State, string>> = {
  validating_files: "Checking files",
  queued: "Queued",
  retrying: "Retrying",
  running: "Running",
  pausing: "Pausing",
  cancelling: "Cancelling",
  paused: "Paused",
  succeeded: "Succeeded",
  failed: "Failed",
  cancelled: "Cancelled",
};
