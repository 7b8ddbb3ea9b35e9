"""Jobs through a real worker, scheduler and trainer process."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import pytest

from store.events import list_events
from store.files import get_file
from store.steps import importance_series, metric_series
from store.tables import State
from store.tuned_models import get_tuned_model
from store.workers import list_workers
from tests.factories import read_job, tenant
from tests.integration.conftest import Service, chat_lines, trainers, wait_until_gone

LONG = 5000


@pytest.fixture(scope="module", autouse=True)
def processes(service: Service) -> Iterator[None]:
    """One worker and one scheduler for the tests of this module."""
    with service.process("worker"), service.process("worker.scheduler"):
        yield


def test_a_job_that_nobody_sent_is_sent_trained_and_published(service: Service) -> None:
    job = service.wait_until_ended(service.submit(chat_lines(), steps=3))
    assert (job.state, job.error) == (State.SUCCEEDED, None), service.log()
    assert (job.attempt, job.step, job.total_steps, job.layers) == (1, 3, 3, 2)
    assert job.report is not None
    with service.database.session() as session:
        metrics = metric_series(tenant(session), job.id, keys=["loss"])
        importance = importance_series(tenant(session), job.id)
        log = [event.message for event in reversed(list_events(tenant(session), job.id, limit=100).rows)]
        model = get_tuned_model(tenant(session), job.fine_tuned_model or "")
        results = get_file(session, job.result_files[0])
    assert metrics.steps == importance.steps == [1, 2, 3]
    assert [len(scores) for scores in importance.importance] == [2, 2, 2]
    assert (
        log.index("Fine-tuning job started") < log.index("The job has successfully completed") == len(log) - 1
    )
    assert model is not None
    assert model.id.startswith("ft:tiny:isthmus:test:")
    paths = {item["path"]: item for item in model.artifacts}
    assert {"adapter/adapter_config.json", "adapter/adapter_model.safetensors", "report.json"} <= set(paths)
    with service.objects.open(f"{model.prefix}adapter/adapter_model.safetensors") as weights:
        digest = hashlib.sha256(weights.read()).hexdigest()
    assert digest == paths["adapter/adapter_model.safetensors"]["sha256"]
    assert results is not None
    assert results.purpose == "fine-tune-results"
    with service.objects.open(results.key) as table:
        lines = table.read().decode().splitlines()
    assert (lines[0].split(",")[0], len(lines)) == ("step", 4)
    wait_until_gone(job.id)
    service.wait_until_clean(job.id)


def test_a_bad_line_fails_the_job_with_its_number(service: Service) -> None:
    job = service.wait_until_ended(service.submit(chat_lines(1) + b'\n{"messages": 7}'))
    assert job.state is State.FAILED
    assert job.error is not None
    assert (job.error["code"], job.error["param"]) == ("invalid_dataset", "training_file")
    assert "line 2" in job.error["message"]
    assert job.fine_tuned_model is None


def test_a_message_for_an_ended_job_does_nothing_and_an_unknown_model_is_an_error(service: Service) -> None:
    before = service.wait_until_ended(service.submit(chat_lines(1) + b'\n{"messages": 7}'))
    assert before.finished_at is not None
    service.send(before.id)
    # The worker takes one message at a time, in order: when the next job has ended, the repeat is done with.
    job = service.wait_until_ended(service.submit(chat_lines(), model="tinny"))
    assert job.error is not None
    assert (job.error["code"], job.error["param"]) == ("model_not_found", "model")
    after = read_job(service.database, before.id)
    assert (after.state, after.last_seq, after.attempt) == (before.state, before.last_seq, 1)


def test_a_broken_model_folder_fails_the_job_without_a_stack_trace(service: Service) -> None:
    folder = service.settings.data_dir / "models" / "broken"
    folder.mkdir()
    (folder / "config.json").write_text("{")
    job = service.wait_until_ended(service.submit(chat_lines(), model="broken"))
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error["message"]
    assert "Traceback" not in job.error["message"]


def test_a_running_job_is_cancelled_soon_and_leaves_no_process(service: Service) -> None:
    job_id = service.submit(chat_lines(), steps=LONG)
    service.wait_until_trained(job_id)
    (trainer,) = trainers(job_id)
    began = time.monotonic()
    service.cancel(job_id)
    job = service.wait_until_ended(job_id)
    assert job.state is State.CANCELLED
    assert not trainer.is_running()
    assert time.monotonic() - began < 20  # generous: five seconds is the promise on a machine with time
    service.wait_until_clean(job_id)


def test_the_worker_shows_itself_with_its_job_and_its_device(service: Service) -> None:
    job_id = service.submit(chat_lines(), steps=LONG)
    service.wait_until_trained(job_id)
    with service.database.session() as session:
        (seen,) = list_workers(tenant(session))
    assert (seen.state, seen.job_id, seen.attempt) == ("busy", job_id, 1)
    assert seen.worker.device_name
    service.cancel(job_id)
    service.wait_until_ended(job_id)
    with service.process("worker") as other:
        service.wait_for_workers(2)
    assert other.returncode == 0
    service.wait_for_workers(1)
