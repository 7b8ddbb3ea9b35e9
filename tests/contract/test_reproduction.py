"""The reproduction bundle over HTTP: of jobs that have ended, without secrets."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import httpx

from store.bundle import BaseModelFiles, Provenance
from store.provenance import record_provenance
from store.webhooks import new_secret
from tests.contract.conftest import DATA, Service
from tests.contract.errors import JOBS, check_error
from tests.contract.worker import Run

PROVENANCE = Provenance(
    base_model=BaseModelFiles(name="tiny", kind="folder", revision=None, files=[]),
    python="3.11",
    platform="Linux",
    packages={"torch": "2.13.0"},
    service_version="0.1.0",
    service_revision=None,
)


def bundle(service: Service, job_id: str) -> dict[str, Any]:
    """The bundle's JSON files by name, and the texts of the others."""
    with service.http() as http:
        answer = http.get(f"{JOBS}/{job_id}/reproduction")
    assert answer.status_code == httpx.codes.OK, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == f'attachment; filename="{job_id}.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    return {name: json.loads(text) if name.endswith(".json") else text for name, text in texts.items()}


def test_a_job_that_succeeded_has_all_that_its_weights_depend_on(service: Service) -> None:
    secret = new_secret()
    webhook = {"url": "https://example.com/", "secret": secret}
    job_id = service.create_job(seed=11, webhook=webhook, suffix="s", validation_file=service.upload())
    run = Run(service, job_id)
    run.steps(1, 2)
    with service.database.session() as session:
        assert record_provenance(session, job_id, run.attempt, PROVENANCE)
        assert not record_provenance(session, job_id, run.attempt + 1, PROVENANCE)
    run.succeed()
    found = bundle(service, job_id)
    assert set(found) == {"bundle.json", "spec.json", "request.json", "requirements.txt", "README.md"}
    manifest = found["bundle.json"]
    assert (manifest["job_id"], manifest["seed"], manifest["state"]) == (job_id, 11, "succeeded")
    digest = hashlib.sha256(DATA).hexdigest()
    assert [(file["field"], file["sha256"]) for file in manifest["data"]] == [
        ("training_file", digest),
        ("validation_file", digest),
    ]
    assert manifest["provenance"] == PROVENANCE.model_dump(mode="json")
    assert (manifest["expected"]["steps"], manifest["expected"]["trained_tokens"]) == (2, 1000)
    assert found["spec.json"]["seed"] == 11
    assert found["request.json"]["suffix"] == "s"
    assert secret not in str(found)
    assert "--data FILE --validation-data FILE" in found["README.md"]


def test_one_that_was_cancelled_has_one_too(service: Service) -> None:
    job_id = service.create_job()
    with service.http() as http:
        assert http.post(f"{JOBS}/{job_id}/cancel").status_code == 200
    manifest = bundle(service, job_id)["bundle.json"]
    assert (manifest["state"], manifest["expected"], manifest["provenance"]) == ("cancelled", None, None)


def test_one_that_has_not_ended_has_none(service: Service) -> None:
    job_id = service.create_job()
    with service.http() as http:
        check_error(http.get(f"{JOBS}/{job_id}/reproduction"), 400, code="job_not_ended", param="job_id")
        check_error(http.get(f"{JOBS}/ftjob-none/reproduction"), 404, code="job_not_found", param="job_id")
