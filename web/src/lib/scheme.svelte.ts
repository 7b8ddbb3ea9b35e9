/** The system's colour scheme, followed as it changes, for what is drawn on a canvas. */

import { MediaQuery } from "svelte/reactivity";

const dark = new MediaQuery("(prefers-color-scheme: dark)", false);

export function isDark(): boolean {
  return dark.current;
}

/** A custom property of the page as it reads now, e.g. `colour("--accent")`. */
export function colour(name: `--${string}`): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
