/** The page's address: `#/jobs/ID?key=value`; `#token=KEY` signs in and is gone at once. */

export const PAGES = ["jobs", "new", "compare", "playground", "files", "models", "keys", "workers"] as const;
export type PageName = (typeof PAGES)[number];

export interface Route {
  /** null: an address that names none of the pages. */
  page: PageName | null;
  /** What the page is about: `#/jobs/ID`. */
  id: string | null;
  query: URLSearchParams;
}

const ROUTE = /^#\/?([a-z]*)(?:\/([\w.:-]+))?\/?(?:\?(.*))?$/;
const TOKEN = /^#token=(.+)$/;

export function parseRoute(hash: string): Route {
  const [, name = "", id = null, query = ""] = ROUTE.exec(hash === "" ? "#/" : hash) ?? [undefined, "unknown"];
  const page = name === "" ? "jobs" : (PAGES.find((known) => known === name) ?? null);
  return { page, id, query: new URLSearchParams(query) };
}

/** An address of the page; what has no value is left out of the query. */
export function address(page: PageName, id?: string | null, query: Record<string, string | null | undefined> = {}): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]));
  const text = new URLSearchParams(given).toString();
  return `#/${page}${id ? `/${id}` : ""}${text ? `?${text}` : ""}`;
}

export function hashOfJob(id: string): string {
  return address("jobs", id);
}

export function tokenInHash(hash: string): string | null {
  const found = TOKEN.exec(hash)?.[1];
  return found === undefined ? null : decodeURIComponent(found);
}
