"""`client.jobs` and the jobs themselves against a real API, with a worker's side played by the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from isthmus import (
    BadRequest,
    CheckpointUpdate,
    Isthmus,
    IsthmusError,
    JobUnsuccessful,
    JobUpdate,
    LogLine,
    NotFound,
    StepUpdate,
    WaitTimedOut,
)

from store.workers import Device, beat
from tests.contract.conftest import LAYERS, Service
from tests.contract.samples import EVALUATION, sample
from tests.contract.worker import TOTAL, Run

Make = Callable[..., str]


@pytest.fixture
def make(service: Service) -> Make:
    """Makes a job that has run to its end."""

    def finished(**body: Any) -> str:
        job_id = service.create_job(**body)
        run = Run(service, job_id)
        run.steps(1, 5)
        run.checkpoint(5)
        run.steps(6, TOTAL)
        run.succeed()
        return job_id

    return finished


def test_a_job_is_created_with_all_that_is_ours(client: Isthmus, service: Service) -> None:
    job = client.jobs.create(
        model="tiny",
        training_file=service.upload(),
        suffix="mine",
        seed=7,
        metadata={"team": "search"},
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
        adapter={"rank": 4, "target_modules": ["q_proj"]},
        ist={"policy": "lisa", "update_fraction": 0.5},
        priority="high",
        max_length=256,
    )
    assert (job.status, job.state, job.priority, job.seed) == ("queued", "queued", "high", 7)
    assert job.spec is not None
    assert job.spec.ist is not None
    adapter = job.spec.adapter
    assert (adapter.type, adapter.rank, adapter.target_modules) == ("lora", 4, ["q_proj"])
    assert (job.spec.ist.policy, job.spec.ist.update_fraction, job.spec.max_length) == ("lisa", 0.5, 256)
    assert job.hyperparameters is not None
    assert job.hyperparameters.n_epochs == 2
    assert client.jobs.retrieve(job.id).metadata == {"team": "search"}


def test_none_is_not_the_same_as_nothing(client: Isthmus, service: Service) -> None:
    for params, has_ist in (({}, True), ({"ist": None}, False)):
        job = client.jobs.create(model="tiny", training_file=service.upload(), **params)  # type: ignore[arg-type]
        assert job.spec is not None
        assert (job.spec.ist is not None) is has_ist


def test_a_wrong_field_is_named(client: Isthmus, service: Service) -> None:
    with pytest.raises(BadRequest) as caught:
        client.jobs.create(model="tiny", training_file=service.upload(), adapter={"rank": 0})
    assert caught.value.param == "adapter.rank"
    with pytest.raises(BadRequest) as caught:
        client.jobs.create(model="tiny", training_file="file-none")
    assert (caught.value.param, caught.value.code) == ("training_file", "file_not_found")


def test_jobs_are_listed_by_what_they_are(client: Isthmus, service: Service) -> None:
    tag = {"of": f"list {id(client)}"}
    made = [service.create_job(metadata=tag, suffix=f"n{n}") for n in range(3)]
    client.jobs.cancel(made[0])
    assert [job.id for job in client.jobs.list(metadata=tag, limit=1)] == made[::-1]
    assert [job.id for job in client.jobs.list(metadata=tag, order="asc")] == made
    waiting = client.jobs.list(metadata=tag, state=["queued", "running"])
    assert [job.id for job in waiting] == made[:0:-1]
    assert [job.id for job in client.jobs.list(search=made[1], model="tiny")] == [made[1]]


def test_a_job_is_paused_resumed_and_cancelled(client: Isthmus, service: Service) -> None:
    job = client.jobs.retrieve(service.create_job())
    assert job.pause().state == "paused"
    assert job.resume().state == "queued"
    assert job.cancel() is job or job.state == "cancelled"
    assert job.refresh().ended
    assert client.jobs.retrieve(job.id).state == "cancelled"
    with pytest.raises(BadRequest) as caught:
        job.pause()
    assert caught.value.code == "job_ended"
    with pytest.raises(JobUnsuccessful):
        job.wait(check=True)


def test_a_job_that_is_not_there(client: Isthmus) -> None:
    with pytest.raises(NotFound) as caught:
        client.jobs.retrieve("ftjob-none")
    assert (caught.value.code, caught.value.param) == ("job_not_found", "job_id")


def test_the_samples_of_an_evaluation_are_read_to_their_end(client: Isthmus, service: Service) -> None:
    job = client.jobs.retrieve(service.create_job())
    with pytest.raises(BadRequest) as caught:
        list(job.samples())
    assert caught.value.code == "job_not_ended"
    told = [sample(row, tuned=float(row != 2)) for row in (1, 2, 3)]
    Run(service, job.id).succeed(samples=told, evaluation=EVALUATION)
    evaluation = job.refresh().evaluation
    assert evaluation is not None
    assert (evaluation.rows, evaluation.best_step, evaluation.stopped_early) == (3, 10, False)
    assert evaluation.scores["rouge_l"].after == 0.875
    found = list(job.samples(limit=2))
    assert [one.row for one in found] == [1, 2, 3]
    assert (found[1].input[0].content, found[1].expected) == ("Say 2.", "2!")
    assert (found[1].base, found[1].tuned) == ("Hm.", "Um.")
    assert (found[0].scores["exact_match"].base, found[0].scores["exact_match"].tuned) == (0, 1)
    chosen = client.jobs.samples(job.id, only="wrong", score="exact_match")
    assert [one.row for one in chosen] == [2]


def test_the_log_is_read_to_its_beginning(client: Isthmus, make: Make) -> None:
    job_id = make()
    events = list(client.jobs.events(job_id, limit=2))
    assert len(events) > 4
    assert [event.id for event in client.jobs.retrieve(job_id).events()] == [event.id for event in events]
    assert {event.level for event in events} <= {"info", "warn", "error"}


def test_waiting_ends_with_the_job(client: Isthmus, service: Service, make: Make) -> None:
    assert client.jobs.retrieve(make()).wait(check=True).status == "succeeded"
    waiting = client.jobs.retrieve(service.create_job())
    with pytest.raises(WaitTimedOut):
        waiting.wait(timeout=0.1)


def test_a_finished_job_is_streamed_whole(client: Isthmus, make: Make) -> None:
    job = client.jobs.retrieve(make())
    updates = list(job.stream())
    steps = [update for update in updates if isinstance(update, StepUpdate)]
    lines = [update for update in updates if isinstance(update, LogLine)]
    assert [update.data.step for update in steps] == list(range(1, TOTAL + 1))
    assert steps[0].data.metrics["loss"] == 1.0
    assert len(steps[0].data.importance) == LAYERS
    numbers = [update.seq for update in steps] + [update.seq for update in lines]
    assert sorted(numbers) == list(range(1, job.last_seq + 1))
    assert isinstance(updates[0], JobUpdate)
    assert updates[0].data.id == job.id
    again = job.stream(after=job.last_seq - 2)
    later = [update for update in again if isinstance(update, (StepUpdate, LogLine))]
    assert [update.seq for update in later] == [job.last_seq - 1, job.last_seq]


def test_a_checkpoint_is_streamed_beside_its_line(client: Isthmus, make: Make) -> None:
    job = client.jobs.retrieve(make())
    updates = list(job.stream())
    (place,) = [n for n, update in enumerate(updates) if isinstance(update, CheckpointUpdate)]
    shown, line = updates[place], updates[place + 1]
    assert isinstance(shown, CheckpointUpdate)
    assert isinstance(line, LogLine)
    assert (shown.part_of, shown.data.step_number) == (line.seq, 5)


def test_a_stream_of_no_job_is_refused(client: Isthmus, make: Make) -> None:
    job = client.jobs.retrieve(make())
    with pytest.raises(BadRequest) as caught:
        list(job.stream(after=job.last_seq + 1))
    assert caught.value.code == "unknown_cursor"


def test_metrics_and_importance_are_lists_and_arrays(client: Isthmus, make: Make, tmp_path: Path) -> None:
    job = client.jobs.retrieve(make())
    metrics = job.metrics(keys=["loss"])
    assert (metrics.steps, list(metrics.series)) == (list(range(1, TOTAL + 1)), ["loss"])
    assert metrics.to_pandas().loc[4, "loss"] == 0.25
    assert job.metrics(after_step=3, limit=2).steps == [4, 5]
    few = job.metrics(points=5)
    assert few.low is not None
    assert few.high is not None
    assert (min(few.low["loss"]), max(few.high["loss"])) == (1 / TOTAL, 1.0)  # type: ignore[type-var]
    assert len(few.steps) <= 5
    table = job.export(tmp_path / "steps.csv").read_text().splitlines()
    assert len(table) == 1 + TOTAL
    assert "importance.3" in table[0]
    importance = job.importance()
    assert importance.to_numpy().shape == (TOTAL, LAYERS)
    assert importance.updates_to_numpy().sum(axis=0).tolist() == [0, TOTAL, 0, TOTAL]


def test_what_a_job_made_is_downloaded_and_checked(client: Isthmus, make: Make, tmp_path: Path) -> None:
    job = client.jobs.retrieve(make())
    files = job.download(tmp_path / "model")
    assert {str(path.relative_to(tmp_path / "model")) for path in files} == {
        "adapter/adapter_config.json",
        "report.json",
    }
    assert files[0].read_bytes() == b"{}"
    stamp = files[0].stat().st_mtime_ns
    assert job.download(tmp_path / "model") == files
    assert files[0].stat().st_mtime_ns == stamp
    assert job.fine_tuned_model is not None
    again = client.models.download(job.fine_tuned_model, tmp_path / "again")
    assert len(again) == 2
    tar = client.models.archive(job.fine_tuned_model, tmp_path / "model.tar")
    assert tar.stat().st_size > 0


def test_an_unfinished_job_has_nothing_to_download(client: Isthmus, service: Service, tmp_path: Path) -> None:
    with pytest.raises(IsthmusError, match="no artifacts"):
        client.jobs.retrieve(service.create_job()).download(tmp_path)


def test_checkpoints(client: Isthmus, make: Make, tmp_path: Path) -> None:
    job_id = make()
    (checkpoint,) = client.checkpoints.list(job_id)
    assert (checkpoint.step_number, checkpoint.fine_tuning_job_id) == (5, job_id)
    assert checkpoint.metrics.train_loss == 0.2
    assert [other.id for other in client.jobs.retrieve(job_id).checkpoints()] == [checkpoint.id]
    assert client.checkpoints.delete(job_id, checkpoint.id).deleted
    assert list(client.jobs.checkpoints(job_id)) == []


def test_workers(client: Isthmus, service: Service) -> None:
    device = Device("cpu", "Some CPU", 16_000, 8_000)
    with service.database.session() as session:
        beat(session, host="here", pid=7, device=device, stopping=False, first=True)
    (worker,) = client.workers.list()
    assert (worker.host, worker.pid, worker.state, worker.job_id) == ("here", 7, "idle", None)
    assert (worker.device.type, worker.device.memory_bytes) == ("cpu", 16_000)


def test_models(client: Isthmus, make: Make, tmp_path: Path) -> None:
    tuned = client.jobs.retrieve(make()).fine_tuned_model
    assert tuned is not None
    assert {"tiny", tuned} <= {model.id for model in client.models.list()}
    assert client.models.retrieve(tuned).base_model == "tiny"
    with pytest.raises(IsthmusError, match="base model"):
        client.models.download("tiny", tmp_path)
    assert client.models.delete(tuned).deleted
    with pytest.raises(NotFound):
        client.models.retrieve(tuned)
