/** A conversation with one model, or with two at once: each prompt goes to all, and each goes on from its own answers. */

import { chat, chatRequest, type Finish, type Message, type Sampling, type Usage } from "./chat";
import { ApiError } from "./http";

export type Standing = "waiting" | "writing" | "done" | "stopped" | "failed";

/** A model's answer to a prompt, as far as it has come. */
export class Answer {
  text = $state("");
  standing = $state<Standing>("waiting");
  finish = $state<Finish | null>(null);
  usage = $state.raw<Usage | null>(null);
  problem = $state.raw<ApiError | null>(null);
  /** From the request to the first token, and from that to the last one, in seconds. */
  firstSeconds = $state<number | null>(null);
  writingSeconds = $state<number | null>(null);

  constructor(readonly model: string) {}

  get busy(): boolean {
    return this.standing === "waiting" || this.standing === "writing";
  }

  /** Tokens a second, counted from the first token on; null where nothing can be said. */
  get speed(): number | null {
    const tokens = (this.usage?.completion_tokens ?? 0) - 1;
    return tokens > 0 && this.writingSeconds ? tokens / this.writingSeconds : null;
  }
}

export interface Exchange {
  id: number;
  prompt: string;
  answers: Answer[];
}

export interface Settings {
  system: string;
  sampling: Sampling;
}

export class Conversation {
  exchanges = $state<Exchange[]>([]);
  busy = $derived(this.exchanges.some(({ answers }) => answers.some((answer) => answer.busy)));
  #aborts = new Set<AbortController>();
  readonly #now: () => number;

  /** `now` tells milliseconds; a test has its own. */
  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** Sends a prompt to every model; ends when all have answered. */
  async send(prompt: string, models: readonly string[], settings: Settings): Promise<void> {
    const answers = models.map((model) => new Answer(model));
    const told = models.map((_, side) => this.messages(prompt, side, settings.system));
    this.exchanges.push({ id: this.exchanges.length, prompt, answers });
    await Promise.all(answers.map((answer, side) => this.#run(answer, told[side] ?? [], settings.sampling)));
  }

  /** Asks for one answer of the last exchange anew. */
  async again(side: number, settings: Settings): Promise<void> {
    const last = this.exchanges.at(-1);
    const old = last?.answers[side];
    if (!last || !old || old.busy) return;
    const answer = new Answer(old.model);
    last.answers[side] = answer;
    await this.#run(answer, this.messages(last.prompt, side, settings.system, last.id), settings.sampling);
  }

  stop(): void {
    for (const abort of this.#aborts) abort.abort();
  }

  clear(): void {
    this.stop();
    this.exchanges = [];
  }

  /** A prompt with what a side was told and has said before an exchange; a prompt that it did not answer is left out. */
  messages(prompt: string, side: number, system: string, before = this.exchanges.length): Message[] {
    const past = this.exchanges.slice(0, before).flatMap(({ prompt, answers }): Message[] => {
      const text = answers[side]?.text ?? "";
      return text === "" ? [] : [{ role: "user", content: prompt }, { role: "assistant", content: text }];
    });
    const first: Message[] = system.trim() === "" ? [] : [{ role: "system", content: system.trim() }];
    return [...first, ...past, { role: "user", content: prompt }];
  }

  async #run(answer: Answer, messages: Message[], sampling: Sampling): Promise<void> {
    const abort = new AbortController();
    this.#aborts.add(abort);
    const start = this.#now();
    try {
      for await (const { text, finish, usage } of chat(chatRequest(answer.model, messages, sampling), abort.signal)) {
        const seconds = (this.#now() - start) / 1000;
        if (text !== "") {
          answer.standing = "writing";
          answer.firstSeconds ??= seconds;
          answer.writingSeconds = seconds - answer.firstSeconds;
          answer.text += text;
        }
        answer.finish ??= finish;
        answer.usage ??= usage;
      }
      answer.standing = abort.signal.aborted ? "stopped" : "done";
    } catch (error) {
      answer.standing = "failed";
      if (!(error instanceof ApiError)) throw error;
      answer.problem = error;
    } finally {
      this.#aborts.delete(abort);
    }
  }
}
