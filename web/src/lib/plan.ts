/** A plan's memory as the parts of one bar, and a proposed change as values of the form. */

import type { Values } from "./fields";
import type { Plan } from "./types";

export interface Part {
  name: string;
  bytes: number;
}

/** Parts that are there at the worst moment; together they are the peak. */
export function peakParts({ memory, peak_bytes: peak }: Plan): Part[] {
  const parts = [
    { name: "Python and libraries", bytes: memory.runtime + memory.libraries + memory.data },
    { name: "Base model", bytes: memory.weights },
    { name: "Adapters, gradients, optimizer", bytes: memory.adapters + memory.gradients + memory.optimizer },
    { name: "Activations", bytes: memory.activations_worst },
    { name: "Logits", bytes: Math.max(memory.logits, memory.transient) },
  ];
  // Loading or a probe may be the worst moment instead; then what is above is cut to the peak.
  let left = peak;
  const shown = parts.map(({ name, bytes }) => {
    const fits = Math.min(bytes, left);
    left -= fits;
    return { name, bytes: fits };
  });
  return [...shown, { name: "Allocator and the rest", bytes: left }].filter(({ bytes }) => bytes > 0);
}

/** The form with the proposed change in it. */
export function withChange(values: Values, fields: Record<string, unknown>): Values {
  const changed = { ...values };
  for (const [name, value] of Object.entries(fields)) {
    if (value !== null && typeof value === "object") {
      for (const [inner, item] of Object.entries(value)) changed[`${name}.${inner}`] = String(item);
      if (name === "ist") changed.ist = "true";
    } else changed[name] = String(value);
  }
  return changed;
}

export const VERDICTS: Readonly<Record<Plan["verdict"], string>> = {
  fits: "It fits",
  tight: "It fits, with little to spare",
  does_not_fit: "It does not fit",
};
