/** The live stream of a job: one WebSocket at a time, opened again after the cursor when it breaks. */

import type { ErrorFrame, Frame } from "./types";

/** The part of a WebSocket that is used, so that tests can stand in for one. */
export type Socket = Pick<WebSocket, "onopen" | "onmessage" | "onclose" | "close">;

export type Link =
  | { kind: "connecting" }
  | { kind: "live" }
  | { kind: "waiting"; seconds: number }
  | { kind: "ended" }
  | { kind: "refused"; reason: string };

export interface StreamOptions {
  /** Opens a socket that replays everything after the cursor, then follows. */
  open: (cursor: number) => Socket;
  cursor: () => number;
  onframe: (frame: Frame) => void;
  onlink: (link: Link) => void;
  /** A connection was refused or failed before it opened; the caller may find out why (signed out). */
  onfailure?: () => void;
  random?: () => number;
}

const FIRST_DELAY = 0.5;
const LONGEST_DELAY = 15;
/** Policy violation and the service's own 44xx: asking again would be answered the same. */
const isRefusal = (code: number): boolean => code === 1008 || (code >= 4400 && code < 4500);

/** Seconds to wait before attempt `n` (from 0): doubling, capped, with up to a quarter of jitter. */
export function backoff(n: number, random: () => number = Math.random): number {
  return Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** n) * (0.75 + 0.25 * random());
}

export class JobStream {
  #socket: Socket | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #failures = 0;
  #refusal: string | null = null;
  #stopped = false;
  readonly #options: StreamOptions;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  start(): void {
    this.#connect();
  }

  /** Tries at once instead of waiting; for when the network or the tab comes back. */
  retryNow(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  /** Drops a connection that may be dead without knowing it, as after sleep, and opens one after the cursor. */
  renew(): void {
    if (this.#stopped) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#drop()?.close(1000);
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#drop()?.close(1000);
  }

  #drop(): Socket | null {
    const socket = this.#socket;
    if (socket) {
      socket.onopen = null;
      socket.onmessage = null;
      socket.onclose = null;
    }
    this.#socket = null;
    return socket;
  }

  #connect(): void {
    this.#timer = null;
    const { open, cursor, onlink } = this.#options;
    onlink({ kind: "connecting" });
    const socket = open(cursor());
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      onlink({ kind: "live" });
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => {
      this.#drop();
      this.#afterClose(code, reason, opened);
    };
  }

  #receive(data: unknown): void {
    const frame = JSON.parse(String(data)) as Frame | ErrorFrame;
    if (frame.type === "error") {
      this.#refusal = frame.error.message;
      return;
    }
    this.#failures = 0;
    this.#options.onframe(frame);
    if (frame.type === "end") {
      this.stop();
      this.#options.onlink({ kind: "ended" });
    }
  }

  #afterClose(code: number, reason: string, opened: boolean): void {
    if (this.#stopped) return;
    if (isRefusal(code)) {
      this.#stopped = true;
      const why = this.#refusal ?? (reason || `The service closed the stream with code ${code}.`);
      this.#options.onlink({ kind: "refused", reason: why });
      this.#options.onfailure?.();
      return;
    }
    const seconds = backoff(this.#failures++, this.#options.random);
    this.#options.onlink({ kind: "waiting", seconds });
    this.#timer = setTimeout(() => this.#connect(), seconds * 1000);
    if (!opened) this.#options.onfailure?.();
  }
}

/** The address of a job's stream, on the page's own host. */
export function streamAddress(location: { protocol: string; host: string }, id: string, after: number): string {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}/v1/fine_tuning/jobs/${encodeURIComponent(id)}/stream?after=${after}`;
}
