"""Long series in few points, and all of them as files."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from api.wire.series import ImportanceObject, MetricsObject
from store.step_pages import PAGE
from tests.contract.conftest import LAYERS, Service
from tests.contract.errors import JOBS, check_error
from tests.contract.worker import Run

STEPS = 2 * PAGE + 5


@pytest.fixture(scope="module")
def long_job(service: Service) -> str:
    """A running job of many steps."""
    job_id = service.create_job()
    run = Run(service, job_id)
    for first in range(1, STEPS + 1, 1000):
        run.steps(first, min(first + 999, STEPS))
    return job_id


@pytest.fixture
def new_job(service: Service) -> str:
    """A job that has not begun."""
    return service.create_job()


def ask(service: Service, path: str, **params: Any) -> httpx.Response:
    with service.http() as http:
        return http.get(f"{JOBS}/{path}", params=params)


def test_metrics_come_in_few_points_that_keep_extremes(service: Service, long_job: str) -> None:
    found = ask(service, f"{long_job}/metrics", points=100).json()
    MetricsObject.model_validate(found)
    points = len(found["steps"])
    assert 50 < points <= 100
    assert (found["bucket"], found["steps"][-1]) == (64, STEPS)
    assert found["steps"][:-1] == [64 * place for place in range(1, points)]
    assert found["time"] == [1_700_000_000.0 + step for step in found["steps"]]
    assert sum(found["count"]) == STEPS
    for key, first_low, first_high in (("loss", 1 / 64, 1.0), ("trained_tokens", 10.0, 640.0)):
        assert (found["low"][key][0], found["high"][key][0]) == (first_low, first_high)
        for low, mean, high in zip(found["low"][key], found["series"][key], found["high"][key], strict=True):
            assert low <= mean <= high
    mean = sum(1 / step for step in range(1, 65)) / 64
    assert found["series"]["loss"][0] == pytest.approx(mean)


def test_importance_comes_in_few_points(service: Service, long_job: str) -> None:
    found = ask(service, f"{long_job}/importance", points=10, after_step=1000, before_step=2001).json()
    ImportanceObject.model_validate(found)
    assert (found["steps"][-1], sum(found["count"]), found["active"]) == (2000, 1000, None)
    assert found["layers"] == LAYERS
    assert len(found["steps"]) <= 10
    assert found["importance"] == [[0.0, 1.0, 2.0, 3.0]] * len(found["steps"])
    assert found["updated"] == [[0, count, 0, count] for count in found["count"]]
    assert found["probabilities"] == [None] * len(found["steps"])


def test_steps_are_chosen_by_number_and_by_time(service: Service, long_job: str) -> None:
    by_step = {"after_step": 99, "before_step": 105}
    by_time = {"after_time": 1_700_000_099.0, "before_time": 1_700_000_105.0}
    for path in ("metrics", "importance"):
        for window in (by_step, by_time, by_step | by_time):
            for size in ({}, {"points": 1000}):
                found = ask(service, f"{long_job}/{path}", **window, **size).json()
                assert (found["steps"], found["bucket"]) == ([100, 101, 102, 103, 104], 1)
        assert ask(service, f"{long_job}/{path}", after_time=1.8e9, points=5).json()["steps"] == []
        assert ask(service, f"{long_job}/{path}", after_step=10, before_step=11).json()["steps"] == []


def test_a_job_without_steps_has_empty_series(service: Service, new_job: str) -> None:
    for path, shape in (("metrics", MetricsObject), ("importance", ImportanceObject)):
        for size in ({}, {"points": 7}):
            found = shape.model_validate(ask(service, f"{new_job}/{path}", **size).json())
            assert found.steps == []
    assert ask(service, f"{new_job}/metrics", keys="loss").status_code == 200


def test_what_cannot_be_asked_for_is_told(service: Service, long_job: str) -> None:
    for size in ({}, {"points": 7}):
        refused = ask(service, f"{long_job}/metrics", keys="loss,nothing", **size)
        message = check_error(refused, 400, code="unknown_metric", param="keys")
        known = "learning_rate, loss, trained_tokens"
        assert message == f"keys: the job has no metric nothing; it has {known}"
    both = ask(service, f"{long_job}/metrics", points=5, limit=5)
    assert "limit" in check_error(both, 400, code="conflicting_parameters", param="points")
    check_error(ask(service, f"{long_job}/importance", points=0), 400, code="invalid_value", param="points")
    check_error(ask(service, f"{long_job}/export", format="xls"), 400, code="invalid_value", param="format")


def read_csv(data: bytes) -> pa.Table:
    return pa.csv.read_csv(io.BytesIO(data))


def read_arrow(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()


def read_parquet(data: bytes) -> pa.Table:
    return pa.parquet.read_table(io.BytesIO(data))


@pytest.mark.parametrize(("file_format", "read"), [("arrow", read_arrow), ("parquet", read_parquet)])
def test_all_steps_are_exported_as_a_table(
    service: Service, long_job: str, file_format: str, read: Any
) -> None:
    answer = ask(service, f"{long_job}/export", format=file_format)
    assert f'{long_job}-steps.{file_format}"' in answer.headers["content-disposition"]
    table = read(answer.content)
    metrics = ["learning_rate", "loss", "trained_tokens"]
    assert table.column_names == [
        "step",
        "time",
        "attempt",
        *metrics,
        "importance",
        "active",
        "probabilities",
    ]
    assert table["step"].to_pylist() == list(range(1, STEPS + 1))
    last = table.slice(STEPS - 1).to_pylist()[0]
    assert last == {
        "step": STEPS,
        "time": 1_700_000_000.0 + STEPS,
        "attempt": 1,
        "learning_rate": 0.001,
        "loss": 1 / STEPS,
        "trained_tokens": 10.0 * STEPS,
        "importance": [0.0, 1.0, 2.0, 3.0],
        "active": [1, 3],
        "probabilities": None,
    }


def test_all_steps_are_exported_as_text(service: Service, long_job: str) -> None:
    table = read_csv(ask(service, f"{long_job}/export").content)
    assert table["step"].to_pylist() == list(range(1, STEPS + 1))
    assert table["loss"].to_pylist()[:2] == [1.0, 0.5]
    assert [table[f"active.{layer}"].to_pylist()[0] for layer in range(LAYERS)] == [0, 1, 0, 1]
    assert [table[f"importance.{layer}"].to_pylist()[-1] for layer in range(LAYERS)] == [0, 1, 2, 3]
    assert table["probabilities.0"].null_count == STEPS
    lines = ask(service, f"{long_job}/export", format="jsonl").text.splitlines()
    assert len(lines) == STEPS
    assert json.loads(lines[0]) == {
        "step": 1,
        "time": 1_700_000_001.0,
        "attempt": 1,
        "metrics": {"loss": 1.0, "learning_rate": 0.001, "trained_tokens": 10.0},
        "importance": [0.0, 1.0, 2.0, 3.0],
        "active": [1, 3],
        "probabilities": None,
    }


def test_a_job_without_steps_is_exported_as_headers_alone(service: Service, new_job: str) -> None:
    assert ask(service, f"{new_job}/export").text == '"step","time","attempt"\n'
    assert ask(service, f"{new_job}/export", format="jsonl").content == b""
    for file_format, read in (("arrow", read_arrow), ("parquet", read_parquet)):
        assert read(ask(service, f"{new_job}/export", format=file_format).content).num_rows == 0
