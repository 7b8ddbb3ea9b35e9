/** The service's routes as the page uses them. */

import { open, send, sendForm, withQuery, type Page, type Query } from "./http";
import type { Artifact, Checkpoint, Importance, Job, JobEvent, Metrics, Model, Plan, Sample, StoredFile, Tokens } from "./types";

export { ApiError } from "./http";

const JOBS = "/v1/fine_tuning/jobs";
const FILES = "/v1/files";
const part = encodeURIComponent;

export interface JobQuery {
  state?: string | null;
  model?: string | null;
  search?: string | null;
  order?: string | null;
  /** `key=value`, as it is typed. */
  metadata?: string | null;
  after?: string | null;
  limit?: number;
}

export function jobsPath({ metadata, ...query }: JobQuery): string {
  const pairs: Query = { ...query };
  const [key, ...value] = (metadata ?? "").split("=");
  if (key?.trim() && value.length > 0) pairs[`metadata[${key.trim()}]`] = value.join("=").trim();
  return withQuery(JOBS, pairs);
}

export function listJobs(query: JobQuery = {}): Promise<Page<Job>> {
  return send("GET", jobsPath({ limit: 20, ...query }));
}

export function getJob(id: string): Promise<Job> {
  return send("GET", `${JOBS}/${part(id)}`);
}

export function createJob(request: unknown): Promise<Job> {
  return send("POST", JOBS, request);
}

/** What a job would need; refused for what the job would be refused for. */
export function planJob(request: unknown, signal?: AbortSignal): Promise<Plan> {
  return send("POST", "/v1/fine_tuning/plan", request, signal);
}

export type Control = "cancel" | "pause" | "resume";

export function controlJob(id: string, control: Control): Promise<Job> {
  return send("POST", `${JOBS}/${part(id)}/${control}`);
}

/** A job's log, newest first, at most 100 lines. */
export async function listEvents(id: string): Promise<JobEvent[]> {
  return (await send<Page<JobEvent>>("GET", `${JOBS}/${part(id)}/events?limit=100`)).data;
}

export interface Window {
  points: number;
  after_step?: number;
  before_step?: number;
}

/** The metrics that a job has told of; a request that names another one is refused. */
export async function listMetrics(id: string): Promise<string[]> {
  return Object.keys((await send<Metrics>("GET", jobPath(id, "metrics", { points: 1 }))).series);
}

export function getMetrics(id: string, keys: readonly string[], window: Window, signal?: AbortSignal): Promise<Metrics> {
  return send("GET", jobPath(id, "metrics", { keys: keys.join(","), ...window }), undefined, signal);
}

export function getImportance(id: string, window: Window, signal?: AbortSignal): Promise<Importance> {
  return send("GET", jobPath(id, "importance", { ...window }), undefined, signal);
}

export async function listArtifacts(id: string): Promise<Artifact[]> {
  return (await send<{ data: Artifact[] }>("GET", `${JOBS}/${part(id)}/artifacts`)).data;
}

/** A small file of text. */
export async function getText(path: string): Promise<string> {
  return (await open("GET", path)).text();
}

export function artifactPath(id: string, path: string): string {
  return `${JOBS}/${part(id)}/artifacts/${path.split("/").map(part).join("/")}`;
}

export function jobPath(id: string, resource: string, query: Query = {}): string {
  return withQuery(`${JOBS}/${part(id)}/${resource}`, query);
}

/** A tuned model, or a checkpoint's adapter, as one file. */
export function modelArchivePath(model: string): string {
  return `/v1/models/${part(model)}/archive`;
}

export function checkpointArchivePath(id: string, checkpoint: string): string {
  return jobPath(id, `checkpoints/${part(checkpoint)}/archive`);
}

export function deleteModel(model: string): Promise<unknown> {
  return send("DELETE", `/v1/models/${part(model)}`);
}

export async function listCheckpoints(id: string): Promise<Checkpoint[]> {
  return (await send<Page<Checkpoint>>("GET", `${JOBS}/${part(id)}/checkpoints?limit=100`)).data;
}

/** Which samples: the tuned model's answer is wrong, better, or worse than the base model's. */
export type Only = "wrong" | "improved" | "worsened";

export interface SampleQuery {
  only: Only | null;
  /** The score that `only` goes by. */
  score: string | null;
  after: string | null;
  limit: number;
}

export function listSamples(id: string, query: SampleQuery, signal?: AbortSignal): Promise<Page<Sample>> {
  return send("GET", jobPath(id, "samples", { ...query }), undefined, signal);
}

export async function listFiles(): Promise<StoredFile[]> {
  return (await send<Page<StoredFile>>("GET", `${FILES}?limit=1000`)).data;
}

export function getFile(id: string): Promise<StoredFile> {
  return send("GET", `${FILES}/${part(id)}`);
}

export function deleteFile(id: string): Promise<unknown> {
  return send("DELETE", `${FILES}/${part(id)}`);
}

export function filePath(id: string): string {
  return `${FILES}/${part(id)}/content`;
}

/** Uploads training data; the service checks it first, and an `ApiError` names the lines at fault. */
export function uploadFile(file: File, onprogress: (share: number) => void): Promise<StoredFile> {
  const form = new FormData();
  form.append("purpose", "fine-tune");
  form.append("file", file, file.name);
  return sendForm(FILES, form, onprogress);
}

export function getTokens(id: string, model: string, maxLength: number, signal?: AbortSignal): Promise<Tokens> {
  return send("GET", withQuery(`${FILES}/${part(id)}/tokens`, { model, max_length: maxLength }), undefined, signal);
}

export async function listModels(): Promise<Model[]> {
  return (await send<{ data: Model[] }>("GET", "/v1/models")).data;
}
