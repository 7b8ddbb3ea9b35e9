"""Publishing a run's output: all of it, or no trace."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ist_core.records import TrainResult
from store import runs
from store.database import Database
from store.files import list_files
from store.objects import LocalObjects
from store.tables import State
from store.tuned_models import get_tuned_model_of_job
from tests.factories import claimed, read_job, tenant
from worker.delivery import JobLost
from worker.publish import RESULTS_PURPOSE, Publication

RESULT = TrainResult(
    stopped=False, steps=1, trained_tokens=9, final_loss=0.5, train_seconds=1.0, peak_memory_bytes=1
)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "weights.bin").write_bytes(b"weights")
    (folder / "report.json").write_text(json.dumps({"final_loss": 0.5}))
    (folder / "steps.csv").write_text("step,train_loss\n1,0.5\n")
    (folder / "checkpoints" / "step-000001").mkdir(parents=True)
    (folder / "checkpoints" / "step-000001" / "checkpoint.json").write_text("{}")  # no part of the model
    return folder


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path / "objects")


def test_the_job_succeeds_with_model_file_and_report(
    database: Database, objects: LocalObjects, output: Path
) -> None:
    held = claimed(database)
    publication = Publication(objects, held.job_id, held.attempt, output, RESULT)
    job = publication.publish(database)
    stored = read_job(database, held.job_id)
    assert (stored.state, stored.report) == (State.SUCCEEDED, {"final_loss": 0.5})
    with database.session() as session:
        model = get_tuned_model_of_job(tenant(session), job.id)
        assert model is not None
        assert stored.fine_tuned_model == model.id
        assert [item["path"] for item in model.artifacts] == [
            "adapter/weights.bin",
            "report.json",
            "steps.csv",
        ]
        assert [
            file.id for file in list_files(tenant(session), purpose=RESULTS_PURPOSE).rows
        ] == stored.result_files


def test_the_answers_of_an_evaluation_are_an_artifact(
    database: Database, objects: LocalObjects, output: Path
) -> None:
    (output / "samples.jsonl").write_text("{}\n")
    held = claimed(database)
    result = replace(RESULT, samples="samples.jsonl")
    job = Publication(objects, held.job_id, held.attempt, output, result).publish(database)
    with database.session() as session:
        model = get_tuned_model_of_job(tenant(session), job.id)
    assert model is not None
    assert "samples.jsonl" in {item["path"] for item in model.artifacts}
    with objects.open(f"{model.prefix}samples.jsonl") as stored:
        assert stored.read() == b"{}\n"


def test_a_commit_whose_answer_was_lost_is_not_done_twice(
    database: Database, objects: LocalObjects, output: Path
) -> None:
    held = claimed(database)
    publication = Publication(objects, held.job_id, held.attempt, output, RESULT)
    first = publication.publish(database)
    again = publication.publish(database)
    assert (again.last_seq, again.fine_tuned_model) == (first.last_seq, first.fine_tuned_model)
    assert len(list(objects.list(""))) == 4


def test_a_lost_job_leaves_neither_rows_nor_objects(
    database: Database, objects: LocalObjects, output: Path
) -> None:
    held = claimed(database)
    with database.session() as session:
        runs.finish_cancelled(session, held.job_id, held.attempt)
    with pytest.raises(JobLost):
        Publication(objects, held.job_id, held.attempt, output, RESULT).publish(database)
    assert list(objects.list("")) == []
    with database.session() as session:
        assert get_tuned_model_of_job(tenant(session), held.job_id) is None
        assert list_files(tenant(session), purpose=RESULTS_PURPOSE).rows == []
    assert read_job(database, held.job_id).state is State.CANCELLED
