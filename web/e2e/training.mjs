/** What the browser tests train: a tiny model, on conversations that it can learn by heart. */

import { api, service } from "./browser.mjs";

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
