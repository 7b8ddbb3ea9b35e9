"""Checkpoints as the unmodified `openai` client sees them."""

from __future__ import annotations

import openai
import pytest

from tests.contract.conftest import Service
from tests.contract.worker import Run


def test_checkpoints_are_listed_newest_first_over_pages(service: Service) -> None:
    job_id = service.create_job(suffix="mine")
    run = Run(service, job_id)
    for step in (4, 8, 12):
        run.checkpoint(step)
    listed = service.client.fine_tuning.jobs.checkpoints.list(job_id, limit=2)
    assert [found.step_number for found in listed.data] == [12, 8]
    assert [found.step_number for found in listed] == [12, 8, 4]
    newest = listed.data[0]
    assert newest.id.startswith("ftckpt-")
    assert (newest.object, newest.fine_tuning_job_id) == ("fine_tuning.job.checkpoint", job_id)
    assert (newest.metrics.step, newest.metrics.train_loss, newest.metrics.valid_loss) == (12, 1 / 12, None)
    name = newest.fine_tuned_model_checkpoint.split(":")
    assert name[:4] == ["ft", "tiny", "isthmus", "mine"]
    assert name[5] == "ckpt-step-12"
    extra = newest.model_extra or {}
    assert [file["path"] for file in extra["files"]] == ["adapter/weights"]
    events = [event.message for event in service.client.fine_tuning.jobs.list_events(job_id, limit=3)]
    assert events[:3] == ["Checkpoint at step 12", "Checkpoint at step 8", "Checkpoint at step 4"]


def test_a_checkpoint_tells_what_was_measured_in_its_step(service: Service) -> None:
    job_id = service.create_job()
    measured = {
        "train_mean_token_accuracy": 0.5,
        "valid_loss": 1.25,
        "valid_mean_token_accuracy": 0.375,
        "full_valid_loss": 1.5,
        "full_valid_mean_token_accuracy": 0.25,
    }
    run = Run(service, job_id)
    run.checkpoint(2)
    run.checkpoint(4, adapter=None, **measured)
    newest, older = service.client.fine_tuning.jobs.checkpoints.list(job_id).data
    assert newest.metrics.model_dump() == {"step": 4, "train_loss": 0.25, **measured}
    assert older.metrics.model_dump() == {"step": 2, "train_loss": 0.5, **dict.fromkeys(measured)}


def test_a_new_job_has_none_and_other_jobs_checkpoints_are_no_cursors(service: Service) -> None:
    checkpoints = service.client.fine_tuning.jobs.checkpoints
    ours, other = service.create_job(), service.create_job()
    Run(service, other).checkpoint(1)
    assert (checkpoints.list(ours).data, checkpoints.list(ours).has_more) == ([], False)
    with pytest.raises(openai.BadRequestError) as refused:
        checkpoints.list(ours, after=checkpoints.list(other).data[0].id)
    assert (refused.value.code, refused.value.param) == ("unknown_cursor", "after")
    with pytest.raises(openai.NotFoundError):
        checkpoints.list("ftjob-none")


async def test_the_async_client_lists_them_as_well(service: Service) -> None:
    job_id = service.create_job()
    Run(service, job_id).checkpoint(3)
    async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key=service.key) as client:
        found = [item.step_number async for item in client.fine_tuning.jobs.checkpoints.list(job_id)]
    assert found == [3]
