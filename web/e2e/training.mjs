/** What the browser tests train: a tiny model, on conversations that it can learn by heart. */

import { api, service, until } from "./browser.mjs";

export const MODEL = "tiny";

export function conversations(count) {
  const rows = Array.from({ length: count }, (_, n) => ({
    messages: [
      { role: "user", content: `Say ${n}.` },
      { role: "assistant", content: `${n}!` },
    ],
  }));
  return Buffer.from(rows.map((row) => JSON.stringify(row)).join("\n"));
}

export async function upload(name, data) {
  const form = new FormData();
  form.append("purpose", "fine-tune");
  form.append("file", new Blob([data]), name);
  const answer = await fetch(`${service.url}/v1/files`, { method: "POST", headers: { Authorization: `Bearer ${service.key}` }, body: form });
  return (await answer.json()).id;
}

export function create(file, extra) {
  return api("POST", "/v1/fine_tuning/jobs", { model: MODEL, training_file: file, adapter: { rank: 4 }, learning_rate: 0.01, ...extra });
}

let many = null;

/** A job that outlasts any test: its file has so many rows. */
export async function createLong(extra) {
  many ??= await upload("many.jsonl", conversations(2000));
  return create(many, { hyperparameters: { n_epochs: 50, batch_size: 1 }, ...extra });
}

export async function stop(id) {
  await api("POST", `/v1/fine_tuning/jobs/${id}/cancel`);
  await until("the job has stopped", async () => (await api("GET", `/v1/fine_tuning/jobs/${id}`)).state === "cancelled");
}

/** The newest job that left a model and samples of it; null: there is none. */
export async function judged() {
  const { data } = await api("GET", "/v1/fine_tuning/jobs?state=succeeded&limit=100");
  return data.find(({ fine_tuned_model: model, evaluation }) => model && evaluation?.rows > 0) ?? null;
}
