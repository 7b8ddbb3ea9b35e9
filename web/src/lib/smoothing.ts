/** Exponential smoothing without the start-up bias (Kingma & Ba, 2014, section 3). */

/** `factor` in [0, 1): 0 leaves the values as they are. Gaps (null) stay gaps. */
export function smooth(values: readonly (number | null)[], factor: number): (number | null)[] {
  let average = 0;
  let weight = 0;
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return null;
    average = factor * average + (1 - factor) * value;
    weight = factor * weight + (1 - factor);
    return average / weight;
  });
}
