/** Tells when the page has slept: a network that comes back, a tab that was hidden long, a clock that jumped. */

const LONG_MS = 20_000;
const TICK_MS = 5000;

/** Calls `onwake` each time; returns what ends that. */
export function watchSleep(onwake: () => void): () => void {
  let hiddenAt: number | null = null;
  let ticked = Date.now();
  const seen = () => {
    if (document.hidden) hiddenAt = Date.now();
    else if (hiddenAt !== null && Date.now() - hiddenAt > LONG_MS) onwake();
    if (!document.hidden) hiddenAt = null;
  };
  const tick = () => {
    // Timers stand still while a machine sleeps; a hidden tab's are only slowed down.
    if (!document.hidden && Date.now() - ticked > LONG_MS) onwake();
    ticked = Date.now();
  };
  const timer = setInterval(tick, TICK_MS);
  addEventListener("online", onwake);
  document.addEventListener("visibilitychange", seen);
  return () => {
    clearInterval(timer);
    removeEventListener("online", onwake);
    document.removeEventListener("visibilitychange", seen);
  };
}
