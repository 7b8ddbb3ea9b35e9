/** Something that is fetched and may be fetched again: what came last, and what went wrong. */

import { ApiError } from "./http";

export class Loading<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);
  readonly #fetch: () => Promise<T>;

  constructor(fetch: () => Promise<T>) {
    this.#fetch = fetch;
  }

  /** Keeps what was there when it fails. */
  async load(): Promise<void> {
    try {
      this.value = await this.#fetch();
      this.error = null;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
    }
  }
}
