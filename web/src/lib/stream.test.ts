import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { backoff, JobStream, streamAddress, type Link, type Socket } from "./stream";
import type { Frame } from "./types";

class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  closed = false;
  constructor(readonly cursor: number) {}
  close(): void {
    this.closed = true;
  }
  send(frame: unknown): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

function setUp() {
  const sockets: FakeSocket[] = [];
  const frames: Frame[] = [];
  const links: Link["kind"][] = [];
  const reasons: string[] = [];
  const onfailure = vi.fn();
  let cursor = 0;
  const stream = new JobStream({
    open: (after) => {
      sockets.push(new FakeSocket(after));
      return sockets.at(-1) as unknown as Socket;
    },
    cursor: () => cursor,
    onframe: (frame) => {
      frames.push(frame);
      if (frame.type === "step") cursor = frame.seq;
    },
    onlink: (link) => {
      links.push(link.kind);
      if (link.kind === "refused") reasons.push(link.reason);
    },
    onfailure,
    random: () => 1,
  });
  return { stream, sockets, frames, links, reasons, onfailure, socket: (at: number) => sockets[at] as FakeSocket };
}

const step = (seq: number) => ({ type: "step", seq, data: { step: seq, time: 0, metrics: {}, importance: [], active: [] } });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a broken connection is opened again after the cursor", () => {
  const { stream, sockets, frames, socket } = setUp();
  stream.start();
  socket(0).onopen?.();
  socket(0).send(step(7));
  socket(0).onclose?.({ code: 1006, reason: "" });
  expect(sockets).toHaveLength(1);
  vi.advanceTimersByTime(500);
  expect(sockets.map((each) => each.cursor)).toEqual([0, 7]);
  socket(1).send(step(8));
  expect(frames.map((frame) => ("seq" in frame ? frame.seq : frame.type))).toEqual([7, 8]);
});

test("waits double with each failure and begin anew once a frame has come", () => {
  const { stream, sockets, socket } = setUp();
  stream.start();
  socket(0).onclose?.({ code: 1006, reason: "" });
  vi.advanceTimersByTime(500);
  socket(1).onclose?.({ code: 1006, reason: "" });
  vi.advanceTimersByTime(999);
  expect(sockets).toHaveLength(2);
  vi.advanceTimersByTime(1);
  expect(sockets).toHaveLength(3);
  socket(2).send(step(1));
  socket(2).onclose?.({ code: 1012, reason: "" });
  vi.advanceTimersByTime(500);
  expect(sockets).toHaveLength(4);
});

test("a job's end closes the socket for good", () => {
  const { stream, sockets, links, socket } = setUp();
  stream.start();
  socket(0).onopen?.();
  socket(0).send({ type: "end" });
  vi.advanceTimersByTime(60_000);
  expect(socket(0).closed).toBe(true);
  expect(sockets).toHaveLength(1);
  expect(links).toEqual(["connecting", "live", "ended"]);
});

test("a refusal is told and not tried again", () => {
  const { stream, sockets, frames, links, reasons, onfailure, socket } = setUp();
  stream.start();
  socket(0).onopen?.();
  socket(0).send({ type: "error", error: { message: "No such job", code: "not_found" } });
  socket(0).onclose?.({ code: 4404, reason: "" });
  vi.advanceTimersByTime(60_000);
  expect(sockets).toHaveLength(1);
  expect(frames).toEqual([]);
  expect(links.at(-1)).toBe("refused");
  expect(reasons).toEqual(["No such job"]);
  expect(onfailure).toHaveBeenCalledOnce();
});

test("a fault of the service is not a refusal", () => {
  const { stream, sockets, socket } = setUp();
  stream.start();
  socket(0).onopen?.();
  socket(0).onclose?.({ code: 4500, reason: "" });
  vi.advanceTimersByTime(500);
  expect(sockets).toHaveLength(2);
});

test("a handshake that fails is reported; the network's return skips the wait", () => {
  const { stream, sockets, onfailure, socket } = setUp();
  stream.start();
  socket(0).onclose?.({ code: 1006, reason: "" });
  expect(onfailure).toHaveBeenCalledOnce();
  stream.retryNow();
  expect(sockets).toHaveLength(2);
  vi.advanceTimersByTime(60_000);
  expect(sockets).toHaveLength(2);
});

test("a stopped stream opens nothing more", () => {
  const { stream, sockets, socket } = setUp();
  stream.start();
  socket(0).onclose?.({ code: 1006, reason: "" });
  stream.stop();
  vi.advanceTimersByTime(60_000);
  expect(sockets).toHaveLength(1);
});

test("backoff is capped and jittered", () => {
  expect(backoff(0, () => 1)).toBe(0.5);
  expect(backoff(3, () => 0)).toBe(3);
  expect(backoff(50, () => 1)).toBe(15);
});

test("the stream's address follows the page's", () => {
  expect(streamAddress({ protocol: "https:", host: "a.example" }, "ftjob-1", 9)).toBe(
    "wss://a.example/v1/fine_tuning/jobs/ftjob-1/stream?after=9",
  );
});
