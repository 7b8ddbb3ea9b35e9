/** The page's address: `#/jobs/ID` shows a job; `#token=KEY` signs in and is gone at once. */

const JOB = /^#\/jobs\/([\w.:-]+)$/;
const TOKEN = /^#token=(.+)$/;

export function jobInHash(hash: string): string | null {
  return JOB.exec(hash)?.[1] ?? null;
}

export function hashOfJob(id: string): string {
  return `#/jobs/${id}`;
}

export function tokenInHash(hash: string): string | null {
  const found = TOKEN.exec(hash)?.[1];
  return found === undefined ? null : decodeURIComponent(found);
}
