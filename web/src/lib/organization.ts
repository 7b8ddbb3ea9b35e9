/** Projects, their keys and quotas: for keys with the scope admin. */

import { send, type Page } from "./http";
import type { Key, NewKey, Project, Quota } from "./types";

const PROJECTS = "/v1/organization/projects";
const part = encodeURIComponent;

export type Scope = Key["scopes"][number];

export async function listProjects(): Promise<Project[]> {
  return (await send<Page<Project>>("GET", `${PROJECTS}?limit=100`)).data;
}

export async function listKeys(project: string): Promise<Key[]> {
  return (await send<Page<Key>>("GET", `${PROJECTS}/${part(project)}/api_keys?limit=100&include_revoked=true`)).data;
}

export interface KeyWish {
  name: string;
  scopes: Scope[];
  expires_in_seconds: number | null;
}

/** The answer holds the key itself, this once. */
export function makeKey(project: string, wish: KeyWish): Promise<NewKey> {
  return send("POST", `${PROJECTS}/${part(project)}/api_keys`, wish);
}

export function revokeKey(project: string, id: string): Promise<unknown> {
  return send("DELETE", `${PROJECTS}/${part(project)}/api_keys/${part(id)}`);
}

/** A new key in place of one, which goes on working for so many seconds; the answer holds the new key, this once. */
export function rotateKey(project: string, id: string, graceSeconds: number): Promise<NewKey> {
  return send("POST", `${PROJECTS}/${part(project)}/api_keys/${part(id)}/rotate`, { grace_seconds: graceSeconds });
}

/** The limits of the caller's own project, and its use of them. */
export function getQuota(): Promise<Quota> {
  return send("GET", "/v1/quota");
}
