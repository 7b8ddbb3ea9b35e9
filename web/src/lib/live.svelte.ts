/** A job as the page sees it: frames gather in a plain history; the page is told once an animation frame. */

import { JobHistory } from "./history";
import { JobStream, streamAddress, type Link } from "./stream";

export class LiveJob {
  readonly id: string;
  readonly history = new JobHistory();
  /** Goes up when the history has grown; read it to be run again. */
  version = $state(0);
  link = $state<Link>({ kind: "connecting" });
  readonly #stream: JobStream;
  #frame: number | null = null;

  constructor(id: string, onfailure: () => void) {
    this.id = id;
    this.#stream = new JobStream({
      open: (cursor) => new WebSocket(streamAddress(location, id, cursor)),
      cursor: () => this.history.cursor,
      onframe: (frame) => {
        if (this.history.apply(frame)) this.#schedule();
      },
      onlink: (link) => (this.link = link),
      onfailure,
    });
  }

  start(): void {
    this.#stream.start();
  }

  stop(): void {
    this.#stream.stop();
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
  }

  retryNow(): void {
    this.#stream.retryNow();
  }

  #schedule(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.version++;
    });
  }
}
