import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { LiveJob } from "./live.svelte";

const JOB = { id: "j", last_seq: 12, step: 10, state: "running", total_steps: 100 };
const METRICS = { bucket: 5, steps: [5, 10], time: [5, 10], series: { loss: [2, 1] }, low: { loss: [1, 1] }, high: { loss: [3, 1] }, count: [5, 5] };
const SCORES = { layers: 2, bucket: 5, steps: [5, 10], time: [5, 10], importance: [[0, 1], [1, 2]], active: null, updated: [[5, 0], [0, 5]], probabilities: [null, null], count: [5, 5] };
const event = (id: string) => ({ id, message: id, level: "info", created_at: 0 });
const step = (seq: number, number: number) => ({ type: "step", seq, data: { step: number, time: number, metrics: { loss: 0.5 }, importance: [1, 1], active: [0], probabilities: null } });

class FakeSocket {
  static all: FakeSocket[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }
  close(): void {}
  send(...frames: unknown[]): void {
    for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

let answers: Record<string, unknown>;
let requests: string[];
let frames: (() => void)[];

beforeEach(() => {
  FakeSocket.all = [];
  requests = [];
  frames = [];
  answers = { "": JOB, metrics: METRICS, importance: SCORES, events: { data: [event("b"), event("a")], has_more: false } };
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("location", { protocol: "http:", host: "h" });
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("requestAnimationFrame", (run: () => void) => frames.push(run));
  vi.stubGlobal("cancelAnimationFrame", () => undefined);
  vi.stubGlobal("fetch", (path: string) => {
    requests.push(path);
    const resource = /\/jobs\/j\/?(\w*)/.exec(path)?.[1] ?? "";
    const answer = answers[resource];
    if (answer === undefined) return Promise.reject(new TypeError("away"));
    return Promise.resolve(new Response(JSON.stringify(answer)));
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

async function opened(): Promise<{ live: LiveJob; socket: FakeSocket }> {
  const live = new LiveJob("j", () => undefined);
  live.start();
  await vi.waitFor(() => expect(FakeSocket.all).toHaveLength(1));
  return { live, socket: FakeSocket.all[0] as FakeSocket };
}

function draw(): number {
  const due = frames.splice(0);
  due.forEach((run) => run());
  return due.length;
}

test("the past is read in few points, and the stream goes on from it", async () => {
  const { live, socket } = await opened();
  expect(socket.url).toBe("ws://h/v1/fine_tuning/jobs/j/stream?after=12");
  expect(requests.some((path) => path.includes("keys=loss") && path.includes("points=1200"))).toBe(true);
  expect([live.metrics.last, live.importance.updatesUpTo(1)]).toEqual([10, [5, 5]]);
  expect(live.events.map(({ id }) => id)).toEqual(["a", "b"]);
});

test("many frames are one draw, and what is there already changes nothing", async () => {
  const { live, socket } = await opened();
  const version = live.version;
  socket.send(step(13, 10), step(14, 11), step(14, 11), { type: "event", seq: 15, data: event("b") }, { type: "event", seq: 16, data: event("c") }, step(17, 12));
  expect(live.metrics.last).toBe(10);
  expect(draw()).toBe(1);
  expect([live.version, live.metrics.last, live.metrics.length, live.job?.step]).toEqual([version + 1, 12, 4, 12]);
  expect(live.events.map(({ id }) => id)).toEqual(["a", "b", "c"]);
});

test("frames of kinds that are not drawn are passed over", async () => {
  const { live, socket } = await opened();
  socket.send({ type: "checkpoint", part_of: 13, data: {} }, { type: "evaluation", part_of: 14, data: {} }, { type: "news", data: {} }, step(14, 11));
  draw();
  expect(live.metrics.last).toBe(11);
});

test("a page that woke up far behind reads the past again instead of every step", async () => {
  const { live, socket } = await opened();
  answers[""] = { ...JOB, last_seq: 9000, step: 8000 };
  answers.metrics = { ...METRICS, steps: [4000, 8000], count: [4000, 4000] };
  live.wake();
  const second = FakeSocket.all[1] as FakeSocket;
  expect(second.url).toContain("after=12");
  second.send({ type: "job", seq: 9000, data: answers[""] });
  await vi.waitFor(() => expect(FakeSocket.all).toHaveLength(3));
  expect(FakeSocket.all[2]?.url).toContain("after=9000");
  expect(live.metrics.last).toBe(8000);
  expect(socket.onmessage).toBeNull();
});

test("a service that is away at first is asked again; one that refuses is not", async () => {
  vi.useFakeTimers();
  const metrics = answers.metrics;
  delete answers.metrics;
  const live = new LiveJob("j", () => undefined);
  live.start();
  await vi.waitFor(() => expect(live.link.kind).toBe("waiting"));
  answers.metrics = metrics;
  await vi.advanceTimersByTimeAsync(1000);
  expect(FakeSocket.all).toHaveLength(1);
  live.stop();

  vi.stubGlobal("fetch", () => Promise.resolve(new Response('{"error": {"message": "No such job", "code": null, "param": null}}', { status: 404 })));
  const refused = vi.fn();
  const other = new LiveJob("j", refused);
  other.start();
  await vi.waitFor(() => expect(other.link).toEqual({ kind: "refused", reason: "No such job" }));
  expect(refused).toHaveBeenCalledOnce();
});

test("a hidden page takes frames in without drawing", async () => {
  const { live, socket } = await opened();
  vi.stubGlobal("document", { hidden: true });
  socket.send(step(13, 11));
  expect([live.metrics.last, frames.length]).toEqual([11, 1]);
});
