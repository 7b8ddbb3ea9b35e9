/** How a job is looked at: what its charts and its heatmap share. */

export type Axis = "step" | "time";

/** Steps from and to, both shown. */
export type Range = readonly [number, number];

export class JobViewState {
  axis = $state<Axis>("step");
  logarithmic = $state(false);
  smoothing = $state(0.75);
  /** null: all steps. */
  range = $state.raw<Range | null>(null);
  /** The step under the pointer, in whichever figure that is. */
  pointed = $state<number | null>(null);
  /** The step whose layers are shown; null follows the newest. */
  moment = $state<number | null>(null);
}
