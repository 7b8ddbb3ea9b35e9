import { afterEach, expect, test, vi } from "vitest";

import { candidates, chosen } from "./chat-models";
import { Conversation, type Settings } from "./conversation.svelte";
import { eventData } from "./sse";
import type { Model } from "./types";

const SETTINGS: Settings = { system: "", sampling: { temperature: 0, top_p: null, max_tokens: 9, seed: null } };

afterEach(() => vi.unstubAllGlobals());

function body(pieces: readonly string[], broken = false): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const left = [...pieces];
  return new ReadableStream({
    pull(controller) {
      const piece = left.shift();
      if (piece !== undefined) controller.enqueue(encoder.encode(piece));
      else if (broken) controller.error(new TypeError("network error"));
      else controller.close();
    },
  });
}

const chunk = (content: string, finish: string | null = null) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;
const usage = (completion_tokens: number) => `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 3, completion_tokens } })}\n\n`;
const DONE = "data: [DONE]\n\n";

interface Asked {
  model: string;
  messages: { role: string; content: string }[];
  stream: boolean;
}

/** A service that answers by model; what it was asked is noted. */
function serve(answers: Record<string, () => Response>): Asked[] {
  const asked: Asked[] = [];
  vi.stubGlobal("fetch", (_: string, { body }: { body: string }) => {
    const request = JSON.parse(body) as Asked;
    asked.push(request);
    return Promise.resolve(answers[request.model]?.() ?? new Response("", { status: 500 }));
  });
  return asked;
}

const streamed = (...pieces: string[]) => () => new Response(body(pieces));
const wireError = (status: number, code: string, message: string, headers = {}) => () =>
  new Response(JSON.stringify({ error: { message, code, param: null, type: "t" } }), { status, headers });

async function all(stream: AsyncGenerator<string>): Promise<string[]> {
  const found = [];
  for await (const data of stream) found.push(data);
  return found;
}

test("events are whole again, wherever the body was cut, also within a letter", async () => {
  const text = new TextEncoder().encode(": hello\n\ndata: é\r\n\r\nevent: x\ndata:a\ndata: b\n\ndata: half");
  const pieces = Array.from(text, (byte) => Uint8Array.of(byte));
  const stream = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      const piece = pieces.shift();
      if (piece) controller.enqueue(piece);
      else controller.close();
    },
  });
  expect(await all(eventData(stream))).toEqual(["é", "a\nb"]);
});

test("two models answer side by side, and each goes on from its own answers", async () => {
  const asked = serve({ base: streamed(chunk("Hel"), chunk("lo"), chunk("", "stop"), usage(2), DONE), tuned: streamed(chunk("Hi", "length"), usage(1), DONE) });
  let clock = 0;
  const talk = new Conversation(() => (clock += 500));
  await talk.send("one", ["base", "tuned"], { ...SETTINGS, system: " be kind " });
  const [base, tuned] = talk.exchanges[0]?.answers ?? [];
  expect([base?.text, base?.standing, base?.finish, base?.usage?.completion_tokens]).toEqual(["Hello", "done", "stop", 2]);
  expect([tuned?.text, tuned?.finish, tuned?.speed]).toEqual(["Hi", "length", null]);
  expect(base?.speed).toBeGreaterThan(0);
  expect(asked[0]).toEqual({ model: "base", messages: [{ role: "system", content: "be kind" }, { role: "user", content: "one" }], temperature: 0, max_tokens: 9, stream: true, stream_options: { include_usage: true } });
  await talk.send("two", ["base", "tuned"], SETTINGS);
  expect(asked.slice(2).map(({ messages }) => messages.map(({ content }) => content))).toEqual([["one", "Hello", "two"], ["one", "Hi", "two"]]);
  expect(talk.busy).toBe(false);
});

test("one that is refused says so, can be asked again, and its silence is no part of what follows", async () => {
  const full = wireError(429, "queue_full", "Too many wait.", { "Retry-After": "7" });
  const answers = { base: streamed(chunk("a", "stop"), DONE), tuned: full };
  const asked = serve(answers);
  const talk = new Conversation();
  await talk.send("one", ["base", "tuned"], SETTINGS);
  const refused = talk.exchanges[0]?.answers[1];
  expect([refused?.standing, refused?.problem?.message, refused?.problem?.retryAfter]).toEqual(["failed", "Too many wait.", 7]);
  await talk.send("two", ["base", "tuned"], SETTINGS);
  expect(asked.at(-1)?.messages.map(({ content }) => content)).toEqual(["two"]);
  answers.tuned = streamed(chunk("b", "stop"), DONE);
  await talk.again(1, SETTINGS);
  expect(talk.exchanges[1]?.answers[1]?.text).toBe("b");
  expect(talk.exchanges[1]?.answers[0]?.text).toBe("a");
});

test("an answer that breaks off, or fails on the way, keeps what came and says why", async () => {
  const failing = `data: ${JSON.stringify({ error: { message: "The model went away.", code: "gone", param: null } })}\n\n`;
  serve({ cut: streamed(chunk("half")), broken: () => new Response(body([chunk("some")], true)), failing: streamed(chunk("x"), failing) });
  const talk = new Conversation();
  await talk.send("one", ["cut", "broken", "failing"], SETTINGS);
  const found = talk.exchanges[0]?.answers.map(({ text, standing, problem }) => [text, standing, problem?.message]);
  expect(found).toEqual([
    ["half", "failed", "The answer broke off before its end."],
    ["some", "failed", "The service cannot be reached. Is it running?"],
    ["x", "failed", "The model went away."],
  ]);
});

test("stopping ends the answer where it is", async () => {
  vi.stubGlobal("fetch", (_: string, { signal }: { signal: AbortSignal }) => {
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(new TextEncoder().encode(chunk("for ev")));
        signal.addEventListener("abort", () => controller.error(signal.reason));
      },
    });
    return Promise.resolve(new Response(stream));
  });
  const talk = new Conversation();
  const sent = talk.send("one", ["base"], SETTINGS);
  await vi.waitFor(() => expect(talk.exchanges[0]?.answers[0]?.standing).toBe("writing"));
  talk.stop();
  await sent;
  expect([talk.exchanges[0]?.answers[0]?.text, talk.exchanges[0]?.answers[0]?.standing, talk.busy]).toEqual(["for ev", "stopped", false]);
  talk.clear();
  expect(talk.exchanges).toEqual([]);
});

test("a tuned model comes with its base; the newest is chosen unless the address says another", () => {
  const model = (id: string, created: number, base: string | null, job: string | null) => ({ id, created, base_model: base, job_id: job }) as unknown as Model;
  const found = candidates([model("tiny", 1, null, null), model("ft:a", 2, "tiny", "job-a"), model("ft:b", 3, "tiny", "job-b")]);
  expect(found.map(({ key, base, tuned }) => [key, base, tuned])).toEqual([["ft:b", "tiny", "ft:b"], ["ft:a", "tiny", "ft:a"], ["tiny", "tiny", null]]);
  expect([chosen(found, null, null)?.key, chosen(found, "tiny", null)?.key, chosen(found, "ft:a:ckpt-step-3", "job-a")?.key]).toEqual(["ft:b", "tiny", "ft:a"]);
});
