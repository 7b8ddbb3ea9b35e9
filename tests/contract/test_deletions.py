"""Models and checkpoints that are deleted: gone at once, their bytes given back, their job kept."""

from __future__ import annotations

import openai
import pytest

from store.objects import LocalObjects, ObjectsAway
from tests.contract.conftest import Service
from tests.contract.errors import JOBS, check_error
from tests.contract.tenants import join
from tests.contract.worker import Run
from worker.janitor import Janitor
from worker.trimmer import Trimmer


def stored_bytes(service: Service) -> int:
    with service.http() as http:
        return int(http.get("/v1/quota").json()["usage"]["bytes"])


def objects_of(service: Service, prefix: str) -> list[str]:
    return list(LocalObjects(service.settings.objects_dir).list(prefix))


def test_the_client_deletes_a_model_and_its_job_stays(service: Service) -> None:
    own = join(service).service
    before, job_id = stored_bytes(own), own.create_job()
    data = stored_bytes(own) - before
    model = Run(service, job_id).succeed()
    assert objects_of(service, f"models/{job_id}/")
    client = own.client
    gone = client.models.delete(model)
    assert (gone.id, gone.object, gone.deleted) == (model, "model", True)
    assert objects_of(service, f"models/{job_id}/") == []
    assert stored_bytes(own) == before + data
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve(model)
    assert missing.value.code == "model_not_found"
    assert model not in [found.id for found in client.models.list()]
    job = client.fine_tuning.jobs.retrieve(job_id)
    client.close()
    assert (job.status, job.fine_tuned_model) == ("succeeded", model)
    with own.http() as http:
        check_error(http.delete(f"/v1/models/{model}"), 404, code="model_not_found", param="model")
        assert http.get(f"{JOBS}/{job_id}/artifacts").json()["data"] == []
        artifact = http.get(f"{JOBS}/{job_id}/artifacts/report.json")
        assert "was deleted at" in check_error(artifact, 404, code="model_deleted", param="path")
        assert http.get(f"{JOBS}/{job_id}/reproduction").status_code == 200


def test_a_job_that_runs_is_not_touched(service: Service) -> None:
    own = join(service).service
    model = Run(service, own.create_job()).succeed()
    running = Run(service, own.create_job())
    with own.client as client:
        client.models.delete(model)
        running.steps(1, 3)
        assert client.fine_tuning.jobs.retrieve(running.job_id).status == "running"
        assert client.models.retrieve(running.succeed()).id


def test_a_base_model_cannot_be_deleted(service: Service) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        service.client.models.delete("tiny")
    assert (refused.value.code, refused.value.param) == ("base_model", "model")


def test_what_storage_does_not_delete_now_is_deleted_later(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise ObjectsAway("away")

    run = Run(service, service.create_job())
    model = run.succeed()
    with monkeypatch.context() as patch:
        patch.setattr(LocalObjects, "delete", away)
        assert service.client.models.delete(model).deleted
    assert len(objects_of(service, f"models/{run.job_id}/")) == 2
    Janitor(service.database, LocalObjects(service.settings.objects_dir)).tick()
    assert objects_of(service, f"models/{run.job_id}/") == []


def test_checkpoints_count_until_they_are_trimmed_or_deleted(service: Service) -> None:
    own = join(service).service
    run = Run(service, own.create_job())
    before = stored_bytes(own)
    adapter, whole = len("adapter/weights 1"), len("adapter/weights 1") + len("state.safetensors 1")
    for step in (1, 2, 3):
        run.checkpoint(step)
    assert stored_bytes(own) == before + 3 * whole
    trimmer = Trimmer(service.database, LocalObjects(service.settings.objects_dir))
    trimmer.tick()
    assert stored_bytes(own) == before + 2 * whole + adapter
    checkpoints = f"{JOBS}/{run.job_id}/checkpoints"
    with own.http() as http:
        newest = http.get(checkpoints).json()["data"][0]["id"]
        refused = http.delete(f"{checkpoints}/{newest}")
        check_error(refused, 400, code="job_not_ended", param="job_id")
        run.fail()
        assert http.delete(f"{checkpoints}/{newest}").json() == {
            "id": newest,
            "object": "fine_tuning.job.checkpoint",
            "deleted": True,
        }
        assert stored_bytes(own) == before + whole + adapter
        trimmer.tick()
        assert stored_bytes(own) == before + 2 * adapter
        assert len(http.get(checkpoints).json()["data"]) == 2
        again = http.delete(f"{checkpoints}/{newest}")
        check_error(again, 404, code="checkpoint_not_found", param="checkpoint_id")
    assert len(objects_of(service, f"checkpoints/{run.job_id}/")) == 2
