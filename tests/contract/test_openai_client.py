"""The unmodified `openai` client, sync and async, against the API."""

from __future__ import annotations

import base64
import json

import openai
import pytest

from ist_core.spec import MAX_SEED
from store import bus
from store.jobs import get_job
from tests.contract.conftest import DATA, KEY, Service
from tests.contract.worker import Run


def test_a_file_goes_up_and_comes_back(service: Service) -> None:
    client = service.client
    file = client.files.create(file=("../a/train.jsonl", DATA), purpose="fine-tune")
    assert (file.object, file.bytes, file.purpose, file.status) == (
        "file",
        len(DATA),
        "fine-tune",
        "processed",
    )
    assert file.filename == "train.jsonl"
    assert client.files.retrieve(file.id) == file
    assert client.files.wait_for_processing(file.id).status == "processed"
    answer = client.files.content(file.id)
    assert answer.read() == DATA
    assert answer.response.headers["content-disposition"] == "attachment; filename*=UTF-8''train.jsonl"


def test_files_are_listed_in_pages(service: Service) -> None:
    client = service.client
    ids = [service.upload() for _ in range(3)]
    page = client.files.list(limit=2)
    assert [file.id for file in page.data] == ids[:0:-1]
    assert page.has_more
    assert [file.id for file in client.files.list(limit=2)][:3] == ids[::-1]
    assert [file.id for file in client.files.list(order="asc", after=ids[0])] == ids[1:]
    assert client.files.list(purpose="vision").data == []


def test_a_job_is_complete_and_queued(service: Service) -> None:
    client = service.client
    before = service.contents()["messages"]
    training, validation = service.upload(), service.upload()
    job = client.fine_tuning.jobs.create(
        model="tiny",
        training_file=training,
        validation_file=validation,
        method={
            "type": "supervised",
            "supervised": {"hyperparameters": {"n_epochs": 2, "learning_rate_multiplier": 0.5}},
        },
        suffix="demo",
        metadata={"team": "a"},
        extra_body={"adapter": {"rank": 4}, "ist": None, "max_steps": 7},
    )
    assert (job.object, job.status, job.error, job.model) == ("fine_tuning.job", "queued", None, "tiny")
    assert (job.training_file, job.validation_file) == (training, validation)
    assert job.result_files == []
    assert (job.fine_tuned_model, job.finished_at, job.trained_tokens) == (None, None, None)
    assert 0 <= job.seed <= MAX_SEED
    assert (job.hyperparameters.n_epochs, job.hyperparameters.batch_size) == (2, 8)
    assert job.hyperparameters.learning_rate_multiplier == 0.5
    assert job.method is not None
    assert set(job.method.to_dict()) == {"type", "supervised"}
    assert job.method.type == "supervised"
    assert job.metadata == {"team": "a"}
    extra = job.model_extra or {}
    assert extra["state"] == "queued"
    assert (extra["step"], extra["total_steps"], extra["layers"]) == (0, None, None)
    assert extra["spec"]["adapter"]["rank"] == 4
    assert extra["spec"]["ist"] is None
    assert (extra["spec"]["max_steps"], extra["spec"]["learning_rate"]) == (7, 0.0005)
    assert client.fine_tuning.jobs.retrieve(job.id) == job
    assert service.contents()["messages"] == before + 1
    raw = service.redis.lindex(service.settings.queue, 0)
    assert isinstance(raw, bytes)
    message = json.loads(raw)
    assert message["headers"]["task"] == "isthmus.train"
    assert json.loads(base64.b64decode(message["body"]))[0] == [job.id]
    with service.database.session() as session:
        row = get_job(session, job.id)
        assert row is not None
        assert row.sent_at is not None


def test_auto_is_resolved_from_the_data(service: Service) -> None:
    auto = service.client.fine_tuning.jobs.create(
        model="tiny",
        training_file=service.upload(),
        seed=3,
        hyperparameters={"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"},
    )
    assert auto.seed == 3
    assert auto.hyperparameters.n_epochs == 10  # 12 rows
    assert (auto.hyperparameters.batch_size, auto.hyperparameters.learning_rate_multiplier) == (8, 1.0)


def test_jobs_are_listed_in_pages_and_by_metadata(service: Service) -> None:
    ids = [service.create_job(metadata={"group": "pages", "n": str(n)}) for n in range(3)]
    jobs = service.client.fine_tuning.jobs
    page = jobs.list(limit=2)
    assert ([job.id for job in page.data], page.has_more) == (ids[:0:-1], True)
    assert [job.id for job in jobs.list(limit=1, metadata={"group": "pages"})] == ids[::-1]
    assert [job.id for job in jobs.list(metadata={"group": "pages", "n": "1"})] == [ids[1]]
    assert [job.id for job in jobs.list(after=ids[1]).data][:1] == [ids[0]]


def test_a_job_is_polled_to_its_end(service: Service) -> None:
    client = service.client
    job_id = service.create_job(suffix="won")
    run = Run(service, job_id)
    run.steps(1, 10)
    job = client.fine_tuning.jobs.retrieve(job_id)
    assert job.status == "running"
    assert job.estimated_finish is not None
    assert (job.model_extra or {})["step"] == 10
    name = run.succeed()
    job = client.fine_tuning.jobs.retrieve(job_id)
    assert (job.status, job.fine_tuned_model, job.estimated_finish) == ("succeeded", name, None)
    assert job.finished_at is not None
    assert job.finished_at >= job.created_at
    assert name.startswith("ft:tiny:isthmus:won:")
    model = client.models.retrieve(name)
    assert (model.id, model.object, model.owned_by) == (name, "model", "isthmus")
    assert {name, "tiny"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("tiny").owned_by == "base"


def test_a_failed_job_says_why(service: Service) -> None:
    job_id = service.create_job()
    Run(service, job_id).fail()
    job = service.client.fine_tuning.jobs.retrieve(job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert (job.error.code, job.error.message) == ("out_of_memory", "no memory")


def test_events_are_listed_newest_first(service: Service) -> None:
    job_id = service.create_job()
    run = Run(service, job_id)
    for n in range(5):
        run.say(f"line {n}")
    events = service.client.fine_tuning.jobs.list_events(job_id, limit=2)
    assert [event.message for event in events.data] == ["line 4", "line 3"]
    everything = [event.message for event in events]
    assert everything[:5] == [f"line {n}" for n in (4, 3, 2, 1, 0)]
    assert everything[-1].startswith("Created fine-tuning job")
    assert {event.object for event in events} == {"fine_tuning.job.event"}


def test_a_queued_job_is_cancelled_at_once_and_only_once(service: Service) -> None:
    jobs = service.client.fine_tuning.jobs
    job_id = service.create_job()
    assert jobs.cancel(job_id).status == "cancelled"
    with pytest.raises(openai.BadRequestError) as refused:
        jobs.cancel(job_id)
    assert (refused.value.code, refused.value.param) == ("job_ended", "job_id")


def test_a_running_job_is_asked_to_stop(service: Service) -> None:
    jobs = service.client.fine_tuning.jobs
    job_id = service.create_job()
    run = Run(service, job_id)
    with service.redis.pubsub(ignore_subscribe_messages=True) as control:  # type: ignore[no-untyped-call]  # redis
        control.subscribe(bus.control_channel(job_id))
        control.get_message(timeout=1)
        asked = jobs.cancel(job_id)
        message = None
        while message is None:
            message = control.get_message(timeout=5)
    assert message["data"] == bus.CANCEL.encode()
    assert (asked.status, (asked.model_extra or {})["state"]) == ("running", "cancelling")
    assert jobs.cancel(job_id).status == "running"
    run.cancelled()
    assert jobs.retrieve(job_id).status == "cancelled"


def test_errors_carry_code_and_param(service: Service) -> None:
    client = service.client
    with pytest.raises(openai.NotFoundError) as missing:
        client.fine_tuning.jobs.retrieve("ftjob-nothing")
    assert (missing.value.code, missing.value.param) == ("job_not_found", "job_id")
    assert missing.value.request_id
    with pytest.raises(openai.BadRequestError) as unknown:
        client.fine_tuning.jobs.create(model="tinny", training_file=service.upload())
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert "'tiny'" in unknown.value.message
    wrong_key = openai.OpenAI(base_url=f"{service.url}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as refused:
        wrong_key.models.list()
    assert refused.value.code == "invalid_api_key"


async def test_the_async_client_works_as_well(service: Service) -> None:
    async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key=KEY, max_retries=0) as client:
        file = await client.files.create(file=("a.jsonl", DATA), purpose="fine-tune")
        job = await client.fine_tuning.jobs.create(model="tiny", training_file=file.id)
        listed = [found.id async for found in client.fine_tuning.jobs.list(limit=1)]
        assert job.id in listed
        assert (await client.fine_tuning.jobs.cancel(job.id)).status == "cancelled"
        events = [event.message async for event in client.fine_tuning.jobs.list_events(job.id, limit=1)]
        assert events[0] == "Job cancelled"
