"""The example for the `openai` client, which tunes a model and talks to it, and what its job tells."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from isthmus import Isthmus

from tests.e2e.service import WAIT_SECONDS, Service

EXAMPLE = Path(__file__).parents[2] / "examples" / "openai_tune_and_chat.py"
ROWS = [
    {"messages": [{"role": "user", "content": f"Is {n} a number?"}, {"role": "assistant", "content": "Yes!"}]}
    for n in range(64)
]
SETTINGS = {
    "hyperparameters": {"n_epochs": 4, "batch_size": 4},
    "adapter": {"rank": 8},
    "ist": None,
    "learning_rate": 0.01,
    "seed": 1,
}


@pytest.fixture(scope="module")
def said(stack: Service, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the example prints, on other data than it has in the repository."""
    folder = tmp_path_factory.mktemp("run")
    tickets = folder / "examples" / "tickets"
    tickets.mkdir(parents=True)
    for name, rows in (("train.jsonl", ROWS[:40]), ("heldout.jsonl", ROWS[40:])):
        (tickets / name).write_text("\n".join(map(json.dumps, rows)))
    (tickets / "job.json").write_text(json.dumps(SETTINGS))
    service = {"OPENAI_BASE_URL": f"{stack.url}/v1", "OPENAI_API_KEY": stack.api_key}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLE)],
        cwd=folder,
        env=os.environ | service,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip().split("\n")


def test_the_example_tunes_a_model_and_talks_to_it(said: list[str]) -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 25
    *answers, tuned, scores = said
    assert answers[0].startswith("SmolLM2-135M-Instruct: ")
    assert tuned.startswith("ft:SmolLM2-135M-Instruct:isthmus:")
    assert tuned.endswith(": Yes!")
    assert scores == "exact match: 0% before, 100% after"


@pytest.mark.usefixtures("said")
def test_its_evaluation_is_told_in_every_place(stack: Service) -> None:
    (openai_job, *_) = stack.client.fine_tuning.jobs.list(limit=1).data
    with Isthmus(base_url=stack.url, api_key=stack.api_key) as client:
        job = client.jobs.retrieve(openai_job.id)
        samples = list(job.samples(limit=15))
        assert list(job.samples(only="wrong")) == []
    assert job.evaluation is not None
    loss = job.evaluation.valid_loss
    assert [sample.tuned for sample in samples] == [sample.expected for sample in samples] == ["Yes!"] * 20
    assert [sample.row for sample in samples] == sorted({sample.row for sample in samples})
    assert samples[0].input[-1].content == f"Is {39 + samples[0].row} a number?"
    newest = stack.client.fine_tuning.jobs.checkpoints.list(job.id, limit=1).data[0].metrics
    assert newest.train_mean_token_accuracy is not None
    assert loss is not None
    assert loss.before is not None
    assert loss.after is not None
    assert loss.after < loss.before
    assert newest.full_valid_loss == pytest.approx(loss.after)
    assert newest.full_valid_mean_token_accuracy == 1
    measured = [frame["data"] for frame in stack.frames(job.id) if frame["type"] == "evaluation"]
    assert measured[-1]["metrics"]["full_valid_loss"] == newest.full_valid_loss
    table = csv.DictReader(io.StringIO(stack.client.files.content(job.result_files[0]).text))
    assert float(list(table)[-1]["full_valid_loss"]) == newest.full_valid_loss
