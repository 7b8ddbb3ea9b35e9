/** Talking to a model: the request, and the answer as it is made, piece by piece. */

import { ApiError, open } from "./http";
import { eventData } from "./sse";

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

/** How answers are drawn; what is null is left to the service. */
export interface Sampling {
  temperature: number | null;
  top_p: number | null;
  max_tokens: number | null;
  seed: number | null;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
}

export type Finish = "stop" | "length";

/** What is known of an answer after a piece of it. */
export interface Piece {
  text: string;
  finish: Finish | null;
  usage: Usage | null;
}

/** A chunk of the wire; an error may take its place after the answer has begun. */
interface Chunk {
  choices?: { delta: { content?: string | null }; finish_reason: Finish | null }[];
  usage?: Usage | null;
  error?: { message: string; code: string | null; param: string | null };
}

export type ChatRequest = { model: string; messages: Message[] } & Partial<Record<keyof Sampling, number>>;

export function chatRequest(model: string, messages: Message[], sampling: Sampling): ChatRequest {
  const given = Object.entries(sampling).filter(([, value]) => value !== null);
  return { model, messages, ...Object.fromEntries(given) };
}

/** Yields the answer's pieces. Ends early, without an error, when `signal` is aborted. */
export async function* chat(request: ChatRequest, signal: AbortSignal): AsyncGenerator<Piece> {
  try {
    const body = { ...request, stream: true, stream_options: { include_usage: true } };
    const answer = await open("POST", "/v1/chat/completions", body, signal);
    if (answer.body === null) throw brokenOff();
    for await (const data of eventData(answer.body)) {
      if (data === "[DONE]") return;
      yield pieceOf(JSON.parse(data) as Chunk);
    }
    throw brokenOff();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function pieceOf({ choices, usage, error }: Chunk): Piece {
  if (error) throw new ApiError(200, error.code, error.message, error.param);
  const choice = choices?.[0];
  return { text: choice?.delta.content ?? "", finish: choice?.finish_reason ?? null, usage: usage ?? null };
}

function brokenOff(): ApiError {
  return new ApiError(0, null, "The answer broke off before its end.");
}
