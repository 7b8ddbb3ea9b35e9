/** The wire's shapes, by the names that the dashboard uses for them; generated from openapi.json. */

import type { components } from "./openapi";

type Schemas = components["schemas"];

export type Job = Schemas["JobObject"];
export type State = Job["state"];
export type JobError = Schemas["JobFailure"];
export type JobEvent = Schemas["EventObject"];
/** One optimizer step. `importance` holds a score a layer; `active` the layers updated in this step. */
export type StepRecord = Schemas["StepObject"];
export type Frame = Schemas["JobFrame"] | Schemas["EventFrame"] | Schemas["StepFrame"] | Schemas["EndFrame"];
/** Says why the stream is refused; a close code of the 44xx kind follows. */
export type ErrorFrame = Schemas["ErrorFrame"];

const ENDED: ReadonlySet<State> = new Set(["succeeded", "failed", "cancelled"]);

export function hasEnded(state: State): boolean {
  return ENDED.has(state);
}
