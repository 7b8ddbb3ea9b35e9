"""A trainer that really runs out of memory, and what a job's report says of predicted and measured memory."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator

import psutil
import pytest

from api.wire.jobs import job_object
from store.events import list_events
from store.tables import Job, State
from tests.factories import tenant
from tests.integration.conftest import Service, chat_lines

ROWS = 64
LIMIT_BYTES = 700_000_000
"""Of data that the trainer may hold: between what 64 rows of 512 tokens need at once (900 MB with torch's own
300) and what 16 need (480 MB); measured."""
PARTS = {"weights", "adapters", "optimizer", "activations_worst", "logits", "allocator"}


@pytest.fixture(scope="module", autouse=True)
def processes(service: Service) -> Iterator[None]:
    """A worker that may use so much memory, as each of its trainers may; and a scheduler."""
    with service.process("worker") as worker, service.process("worker.scheduler"):
        psutil.Process(worker.pid).rlimit(resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))
        yield


def long_lines() -> bytes:
    """Rows of 512 tokens and more."""
    messages = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "y z " * 150}]
    return b"\n".join(json.dumps({"messages": messages, "row": row}).encode() for row in range(ROWS))


def run(service: Service, *, wish: str) -> Job:
    """A job whose whole batch at once is too much."""
    job_id = service.submit(
        long_lines(),
        steps=2,
        batch_size=ROWS,
        max_length=512,
        ist=None,
        precision="float32",
        on_out_of_memory=wish,
    )
    return service.wait_until_ended(job_id)


def test_a_job_that_needs_too_much_says_so_with_the_planners_advice(service: Service) -> None:
    job = run(service, wish="fail")
    assert job.state is State.FAILED, service.log()
    assert job.error == {
        "code": "out_of_memory",
        "message": "the device ran out of memory; set micro_batch_size to 16",
        "param": "micro_batch_size",
    }
    assert job.attempt == 1
    other = service.wait_until_ended(service.submit(chat_lines(), steps=2))
    assert other.state is State.SUCCEEDED, "the worker goes on"


def test_a_job_that_wants_it_goes_on_in_smaller_parts_of_the_same_batch(service: Service) -> None:
    job = run(service, wish="retry")
    assert (job.state, job.error) == (State.SUCCEEDED, None), service.log()
    size = job.spec["micro_batch_size"]
    assert size < ROWS
    assert (job.spec["batch_size"], job.step, job.losses) == (ROWS, 2, 0)
    assert job.attempt == 1 + (ROWS // size).bit_length() - 1, "half the micro-batch each time"
    assert job.report is not None
    assert job.report["spec"]["micro_batch_size"] == size
    with service.database.session() as session:
        log = [event.message for event in list_events(tenant(session), job.id, limit=100).rows]
    assert any(
        f"micro-batch of {ROWS}: the job goes on with {ROWS // 2}; its batch stays {ROWS}" in line
        for line in log
    )


@pytest.mark.parametrize("method", ["supervised", "dpo"])
def test_a_report_shows_predicted_beside_measured_memory(service: Service, method: str) -> None:
    data = chat_lines(24) if method == "supervised" else pairs(24)
    job_id = service.submit(data, steps=3, batch_size=2, method={"type": method})
    job = service.wait_until_ended(job_id)
    assert job.state is State.SUCCEEDED, (job.error, service.log())
    report = job_object(job).model_dump(mode="json")["report"]
    memory = report["memory"]
    assert memory["measured_bytes"] > 0
    assert memory["predicted_bytes"] > 0
    assert memory["ratio"] == pytest.approx(memory["predicted_bytes"] / memory["measured_bytes"])
    assert memory["baseline_bytes"] + memory["measured_bytes"] == report["peak_memory_bytes"]
    assert memory["parts"].keys() >= PARTS
    assert memory["parts"]["weights"] > 0
    assert report["operations_per_token"] > 0


def pairs(rows: int) -> bytes:
    """Preference data."""
    return b"\n".join(
        json.dumps(
            {
                "input": {"messages": [{"role": "user", "content": f"Say {number}."}]},
                "preferred_output": [{"role": "assistant", "content": f"{number}!"}],
                "non_preferred_output": [{"role": "assistant", "content": "Why?"}],
            }
        ).encode()
        for number in range(rows)
    )
