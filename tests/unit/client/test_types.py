"""Answers of older and of later services, and series as arrays."""

from __future__ import annotations

import math
from typing import Any

import pytest
from isthmus import IsthmusError, Job, UnexpectedAnswer
from isthmus.types.base import parse
from isthmus.types.jobs import JobFields
from isthmus.types.series import Importance, Metrics

from tests.unit.client.script import answer

JOB: dict[str, Any] = {
    "id": "ftjob-1",
    "created_at": 1,
    "model": "tiny",
    "training_file": "file-1",
    "status": "running",
}


def test_a_later_service_may_say_more() -> None:
    body: dict[str, Any] = {**JOB, "status": "dreaming", "state": "rem", "mood": {"calm": True}}
    body["error"] = {"code": "x", "message": "y", "hint": "z"}
    job = parse(answer(body), JobFields)
    assert (job.status, job.state, job.ended) == ("dreaming", "rem", False)
    assert job.mood == {"calm": True}  # type: ignore[attr-defined]
    assert job.error is not None
    assert job.error.hint == "z"  # type: ignore[attr-defined]
    assert job.model_dump()["mood"] == {"calm": True}


def test_an_older_service_may_say_less() -> None:
    job = parse(answer(JOB), JobFields)
    assert (job.step, job.report, job.result_files, job.spec) == (0, None, [], None)


def test_what_is_no_job_is_told() -> None:
    bodies: list[Any] = [{}, [], {**JOB, "created_at": "yesterday"}, b"<html>"]
    for body in bodies:
        with pytest.raises(UnexpectedAnswer):
            parse(answer(body), JobFields)


def test_a_job_from_nowhere_can_be_read_but_not_asked() -> None:
    job = Job.model_validate(JOB)
    assert job.model == "tiny"
    with pytest.raises(IsthmusError, match="no client"):
        job.refresh()


def test_metrics_as_arrays_and_as_a_frame() -> None:
    metrics = Metrics(
        job_id="ftjob-1", steps=[1, 2], time=[10.0, 11.0], series={"loss": [2.0, None], "lr": [0.1, 0.2]}
    )
    arrays = metrics.to_numpy()
    assert arrays["step"].tolist() == [1, 2]
    assert arrays["loss"][0] == 2
    assert math.isnan(arrays["loss"][1])
    frame = metrics.to_pandas()
    assert list(frame.columns) == ["time", "loss", "lr"]
    assert frame.index.tolist() == [1, 2]
    assert frame["lr"].tolist() == [0.1, 0.2]


def test_importance_as_arrays_and_as_a_frame() -> None:
    importance = Importance(
        job_id="ftjob-1", layers=3, steps=[5, 6], importance=[[1, 2, 3], [4, 5, 6]], active=[[0, 2], [1]]
    )
    assert importance.to_numpy().tolist() == [[1, 2, 3], [4, 5, 6]]
    assert importance.updates_to_numpy().tolist() == [[1, 0, 1], [0, 1, 0]]
    frame = importance.to_pandas()
    assert frame.shape == (2, 3)
    assert frame.loc[6].tolist() == [4, 5, 6]


def test_no_steps_are_empty_arrays() -> None:
    empty = Importance(job_id="ftjob-1", layers=3, steps=[], importance=[], active=[])
    assert empty.to_numpy().shape == (0, 3)
    assert empty.updates_to_numpy().shape == (0, 3)
    assert Metrics(job_id="ftjob-1", steps=[], time=[], series={}).to_pandas().empty
