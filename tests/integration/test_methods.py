"""Both training methods through the service, with sparse tuning of every policy's kind and other adapters."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from store.steps import importance_series, metric_series
from store.tables import State
from tests.factories import tenant
from tests.integration.conftest import Service, chat_lines


@pytest.fixture(scope="module", autouse=True)
def processes(service: Service) -> Iterator[None]:
    """One worker and one scheduler for the tests of this module."""
    with service.process("worker"), service.process("worker.scheduler"):
        yield


def _pair(number: int) -> dict[str, object]:
    return {
        "input": {"messages": [{"role": "user", "content": f"Say {number}."}]},
        "preferred_output": [{"role": "assistant", "content": f"{number}!"}],
        "non_preferred_output": [{"role": "assistant", "content": "Why?"}],
    }


def test_preference_pairs_are_trained_sparsely_and_told(service: Service) -> None:
    data = b"\n".join(json.dumps(_pair(number)).encode() for number in range(24))
    job_id = service.submit(
        data,
        steps=6,
        batch_size=2,
        learning_rate=0.01,
        method={"type": "dpo", "beta": 0.2},
        ist={"update_fraction": 0.5, "probe_interval": 2, "warmup_steps": 1},
    )
    job = service.wait_until_ended(job_id)
    assert (job.state, job.error) == (State.SUCCEEDED, None), service.log()
    with service.database.session() as session:
        metrics = metric_series(tenant(session), job_id)
        importance = importance_series(tenant(session), job_id)
    assert metrics.steps == [1, 2, 3, 4, 5, 6]
    loss, margin = metrics.series["loss"], metrics.series["reward_margin"]
    assert loss[0] == pytest.approx(0.6931, abs=1e-3)
    assert all(value is not None for value in (*loss, *margin))
    assert [len(active) for active in importance.active] == [2, 1, 1, 1, 1, 1]
    assert any(score != 0.0 for score in importance.importance[-1])


@pytest.mark.parametrize(
    ("adapter", "ist"),
    [
        ({"type": "bottleneck", "variant": "series", "size": 8}, {"policy": "depth"}),
        ({"rank": 4, "dora": True}, {"policy": "contiguous", "scorer": "gate"}),
    ],
    ids=["bottleneck", "dora"],
)
def test_other_adapters_and_policies_are_jobs_like_any_other(
    service: Service, adapter: dict[str, object], ist: dict[str, object]
) -> None:
    ist = {"update_fraction": 0.5, "probe_interval": 2, "warmup_steps": 1} | ist
    job = service.wait_until_ended(service.submit(chat_lines(), steps=5, adapter=adapter, ist=ist))
    assert (job.state, job.error, job.step) == (State.SUCCEEDED, None, 5), service.log()
    assert job.report is not None
    assert sum(job.report["layer_updates"]) == 2 + 4
