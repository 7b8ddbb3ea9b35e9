/** When a job will end, from the pace of its last steps. */

const WINDOW = 50;

/** Seconds left after step `lastStep`, or null before two rows are known; a pause between attempts does not distort it. */
export function secondsLeft(
  steps: readonly number[],
  times: readonly number[],
  lastStep: number,
  totalSteps: number | null | undefined,
): number | null {
  const last = steps.length - 1;
  if (!totalSteps || last < 1) return null;
  const paces: number[] = [];
  for (let row = Math.max(1, last - WINDOW + 1); row <= last; row++) {
    const taken = (steps[row] as number) - (steps[row - 1] as number);
    paces.push(((times[row] as number) - (times[row - 1] as number)) / taken);
  }
  return Math.max(0, totalSteps - lastStep) * trimmedMean(paces);
}

/** Mean without the twentieth that took longest: probe steps count, the gap before a resume does not. */
function trimmedMean(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const cut = Math.ceil(sorted.length * 0.05);
  const kept = sorted.length > 2 * cut ? sorted.slice(0, sorted.length - cut) : sorted;
  return kept.reduce((sum, value) => sum + value, 0) / kept.length;
}
