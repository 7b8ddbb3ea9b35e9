"""Tune a model and talk to it with the `openai` client alone: OPENAI_BASE_URL (.../v1) and OPENAI_API_KEY."""

import json
import time
from pathlib import Path

from openai import OpenAI

client, folder, names = OpenAI(), Path("examples/tickets"), ("train.jsonl", "heldout.jsonl")
train, held_out = (client.files.create(file=folder / name, purpose="fine-tune").id for name in names)
settings = json.loads((folder / "job.json").read_text()) | {"evaluation": {"rows": 20}}
job = client.fine_tuning.jobs.create(
    model="SmolLM2-135M-Instruct", training_file=train, validation_file=held_out, extra_body=settings
)
while (job := client.fine_tuning.jobs.retrieve(job.id)).status not in ("succeeded", "failed", "cancelled"):
    time.sleep(2)
if job.fine_tuned_model is None or job.model_extra is None:
    raise SystemExit(job.error)
question = json.loads((folder / "heldout.jsonl").read_text().splitlines()[0])["messages"][:-1]
for model in (job.model, job.fine_tuned_model):
    answer = client.chat.completions.create(model=model, messages=question, max_tokens=80, temperature=0)
    print(f"{model}: {answer.choices[0].message.content}")
scores = job.model_extra["evaluation"]["scores"]["exact_match"]
print(f"exact match: {scores['before']:.0%} before, {scores['after']:.0%} after")
