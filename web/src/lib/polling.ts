/** Does something at once and then again and again, while somebody is looking. */

/** Returns what ends it; to be given back by an effect. */
export function poll(every: number, look: () => void): () => void {
  const seen = () => {
    if (!document.hidden) look();
  };
  look();
  const timer = setInterval(seen, every);
  document.addEventListener("visibilitychange", seen);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", seen);
  };
}
