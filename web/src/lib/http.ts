/** Requests to the service: JSON in, JSON out, errors in its own words; the sign-in cookie travels by itself. */

/** An answer other than 2xx (or none at all, `status` 0), with the service's own code and words. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string | null,
    message: string,
    /** The field of the request that is at fault, with dots between its parts. */
    readonly param: string | null = null,
    /** Seconds after which the service wants to be asked again. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

export interface Page<T> {
  data: T[];
  has_more: boolean;
}

export type Query = Record<string, string | number | null | undefined>;

/** A path with its query; what has no value is left out. */
export function withQuery(path: string, query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

export async function send<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const text = await (await open(method, path, body, signal)).text();
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

/** An answer whose body has still to come; what is no 2xx is an `ApiError`. */
export async function open(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const answer = await request(method, path, body, signal);
  if (!answer.ok) throw errorOf(answer.status, await answer.text(), answer.headers.get("Retry-After"));
  return answer;
}

async function request(method: string, path: string, body: unknown, signal: AbortSignal | undefined): Promise<Response> {
  try {
    return await fetch(path, {
      method,
      credentials: "same-origin",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable();
  }
}

/** Sends a form and tells how much of it has gone (0 to 1): fetch cannot. */
export function sendForm<T>(path: string, form: FormData, onprogress: (share: number) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const exchange = new XMLHttpRequest();
    exchange.open("POST", path);
    exchange.upload.onprogress = ({ loaded, total }) => onprogress(total ? loaded / total : 0);
    exchange.onerror = () => reject(unreachable());
    exchange.onload = () => {
      const good = exchange.status >= 200 && exchange.status < 300;
      if (good) resolve(JSON.parse(exchange.responseText) as T);
      else reject(errorOf(exchange.status, exchange.responseText));
    };
    exchange.send(form);
  });
}

export function unreachable(): ApiError {
  return new ApiError(0, null, "The service cannot be reached. Is it running?");
}

function errorOf(status: number, text: string, retryAfter: string | null = null): ApiError {
  const found = wireError(text);
  const seconds = retryAfter === null ? null : Number(retryAfter);
  return new ApiError(status, found?.code ?? null, found?.message ?? `The service answered ${status}.`, found?.param ?? null, seconds);
}

interface WireError {
  message: string;
  code: string | null;
  param: string | null;
}

/** The `{"error": {message, code, param}}` of the wire, or null when a proxy answered with something else. */
function wireError(text: string): WireError | null {
  try {
    return (JSON.parse(text) as { error?: WireError }).error ?? null;
  } catch {
    return null;
  }
}
