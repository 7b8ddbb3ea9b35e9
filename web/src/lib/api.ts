/** The service's HTTP interface as the page uses it; the sign-in cookie travels by itself. */

import type { Job } from "./types";

/** An answer other than 2xx (or none at all, `status` 0), with the service's own code and words. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string | null,
    message: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

interface Page<T> {
  data: T[];
  has_more: boolean;
}

const JOBS = "/v1/fine_tuning/jobs";

export async function listJobs(limit = 50): Promise<Job[]> {
  const page = await send<Page<Job>>("GET", `${JOBS}?limit=${limit}`);
  return page.data;
}

export function cancelJob(id: string): Promise<Job> {
  return send<Job>("POST", `${JOBS}/${encodeURIComponent(id)}/cancel`);
}

export async function isSignedIn(): Promise<boolean> {
  const { authenticated } = await send<{ authenticated: boolean }>("GET", "/session");
  return authenticated;
}

/** Trades a key for the HttpOnly cookie; a wrong key is an `ApiError` with status 401. */
export async function signIn(key: string): Promise<void> {
  await send<unknown>("POST", "/session", { key });
}

export async function signOut(): Promise<void> {
  await send<unknown>("DELETE", "/session");
}

async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await request(method, path, body);
  if (!answer.ok) throw await errorOf(answer);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

async function request(method: string, path: string, body: unknown): Promise<Response> {
  try {
    return await fetch(path, {
      method,
      credentials: "same-origin",
      headers: method === "GET" ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, null, "The service cannot be reached. Is it running?");
  }
}

async function errorOf(answer: Response): Promise<ApiError> {
  const text = await answer.text();
  const found = wireError(text);
  return new ApiError(answer.status, found?.code ?? null, found?.message ?? `The service answered ${answer.status}.`);
}

/** The `{"error": {message, code}}` of the wire, or null when a proxy answered with something else. */
function wireError(text: string): { message: string; code: string | null } | null {
  try {
    return (JSON.parse(text) as { error?: { message: string; code: string | null } }).error ?? null;
  } catch {
    return null;
  }
}
