"""`Idempotency-Key`: a request that is sent again is done once, and answered as at first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from store.objects import LocalObjects
from store.tables import IdempotencyKey, Job
from tests.contract.conftest import DATA, Service
from tests.contract.errors import JOBS, check_error
from tests.contract.tenants import PROJECTS, as_admin, join, make_project
from worker.janitor import Janitor

Send = Callable[[httpx.Client, str], httpx.Response]
UPLOAD = {"bytes": len(DATA), "filename": "a.jsonl", "mime_type": "text/jsonl", "purpose": "fine-tune"}


def headers(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def send_file(data: bytes = DATA) -> Send:
    """A file, whose form has another boundary each time."""
    form: dict[str, Any] = {"files": {"file": ("a.jsonl", data)}, "data": {"purpose": "fine-tune"}}
    return lambda http, key: http.post("/v1/files", **form, headers=headers(key))


def send_json(path: str, body: dict[str, Any]) -> Send:
    return lambda http, key: http.post(path, json=body, headers=headers(key))


def begin_upload(service: Service) -> str:
    with service.http() as http:
        return str(http.post("/v1/uploads", json=UPLOAD).json()["id"])


def send_part(service: Service) -> Send:
    path = f"/v1/uploads/{begin_upload(service)}/parts"
    return lambda http, key: http.post(path, files={"data": ("x", DATA)}, headers=headers(key))


def send_completion(service: Service) -> Send:
    upload_id = begin_upload(service)
    with service.http() as http:
        part = http.post(f"/v1/uploads/{upload_id}/parts", files={"data": ("x", DATA)}).json()
    return send_json(f"/v1/uploads/{upload_id}/complete", {"part_ids": [part["id"]]})


def send_job(service: Service) -> Send:
    return send_json(JOBS, {"model": "tiny", "training_file": service.upload()})


def send_key(service: Service) -> Send:
    return send_json(f"{PROJECTS}/{make_project(service)}/api_keys", {"name": "ci"})


SENDS: dict[str, Callable[[Service], Send]] = {
    "files": lambda _: send_file(),
    "uploads": lambda _: send_json("/v1/uploads", UPLOAD),
    "parts": send_part,
    "complete": send_completion,
    "jobs": send_job,
    "webhooks": lambda _: send_json("/v1/webhooks", {"url": "https://example.com/"}),
    "projects": lambda _: send_json(PROJECTS, {"name": "team"}),
    "keys": send_key,
}


@pytest.mark.parametrize("kind", SENDS)
def test_a_repeat_is_answered_as_at_first_and_makes_nothing(service: Service, kind: str) -> None:
    own = join(service).service
    send = SENDS[kind](own)
    with own.http() as http:
        first = send(http, "one")
        assert first.status_code == 200, first.text
        assert "idempotent-replayed" not in first.headers
        before = service.contents()
        again = send(http, "one")
        assert (again.json(), again.status_code) == (first.json(), 200)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["content-type"] == first.headers["content-type"]
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert service.contents() == before


def test_the_clients_own_option_makes_one_job_of_a_lost_answer(service: Service) -> None:
    client, training_file = service.client, service.upload()

    def create() -> str:
        return client.fine_tuning.jobs.create(
            model="tiny", training_file=training_file, extra_headers=headers("lost-answer")
        ).id

    assert create() == create()


def test_another_key_is_another_request(service: Service) -> None:
    send = send_job(service)
    with service.http() as http:
        ids = {send(http, key).json()["id"] for key in ("first", "second")}
    assert len(ids) == 2


def test_a_key_is_of_one_route_and_one_project(service: Service) -> None:
    job, upload = send_job(service), send_json("/v1/uploads", UPLOAD)
    stranger = join(service).service
    with service.http() as http, stranger.http() as other:
        assert job(http, "shared").json()["object"] == "fine_tuning.job"
        mine, theirs = upload(http, "shared"), upload(other, "shared")
    assert mine.json()["id"] != theirs.json()["id"]


@pytest.mark.parametrize("kind", ["json", "form"])
def test_a_key_with_another_body_is_refused(service: Service, kind: str) -> None:
    sends = {
        "json": (send_json("/v1/uploads", UPLOAD), send_json("/v1/uploads", UPLOAD | {"bytes": 7})),
        "form": (send_file(), send_file(DATA + b"\n")),
    }
    first, other = sends[kind]
    with service.http() as http:
        assert first(http, f"other-{kind}").status_code == 200
        before = service.contents()
        answer = other(http, f"other-{kind}")
    check_error(answer, 400, code="idempotency_key_reused", param="Idempotency-Key")
    assert service.contents() == before


def test_a_refusal_is_not_kept(service: Service) -> None:
    """What is refused has done nothing: the same request can be good a moment later."""
    own = join(service, project_id=make_project(service, max_jobs=0))
    send = send_job(own.service)
    with own.service.http() as http, as_admin(service).http() as admin:
        check_error(send(http, "later"), 429, code="quota_exceeded", param=None)
        admin.post(f"{PROJECTS}/{own.project_id}/quota", json={"max_jobs": 1})
        made = send(http, "later")
        assert made.status_code == 200
        # The project is full by now, with the very job that is asked for.
        assert send(http, "later").json()["id"] == made.json()["id"]


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "caf\xe9"])
def test_a_key_that_is_none_is_refused(service: Service, key: str) -> None:
    with service.http() as http:
        answer = http.post(
            "/v1/webhooks",
            json={"url": "https://example.com/"},
            headers={b"Idempotency-Key": key.encode("latin-1")},
        )
    check_error(answer, 400, code="invalid_value", param="Idempotency-Key")


@pytest.mark.parametrize("max_jobs", [1, 100])
def test_many_at_once_make_one_job(service: Service, max_jobs: int) -> None:
    """Also where the first one takes the last place of the quota."""
    own = join(service, project_id=make_project(service, max_jobs=max_jobs))
    send = send_job(own.service)

    def create(_: int) -> httpx.Response:
        with own.service.http() as http:
            return send(http, "at-once")

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(create, range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6, [answer.text for answer in answers]
    assert len({answer.json()["id"] for answer in answers}) == 1
    with service.database.session() as session:
        count = select(func.count()).where(Job.project_id == own.project_id)
        assert session.scalar(count) == 1


def test_two_uploads_at_once_leave_one_object(service: Service) -> None:
    own, before = join(service).service, service.contents()

    def create(_: int) -> httpx.Response:
        with own.http() as http:
            return send_file()(http, "at-once")

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(create, range(4)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    after = service.contents()
    assert [after[name] - before[name] for name in ("files", "objects", "idempotency_keys")] == [1, 1, 1]


def test_a_secret_can_be_read_by_its_owner_only(service: Service) -> None:
    """The table has neither the key nor the answer in a form that opens anything."""
    with service.http() as http:
        made = send_key(service)(http, "a-secret-key").json()
    with service.database.session() as session:
        rows = session.connection().exec_driver_sql("SELECT k::text FROM idempotency_keys k").all()
    text = str(rows)
    assert made["value"] not in text
    assert made["id"] not in text
    assert "a-secret-key" not in text


def test_after_a_day_it_is_forgotten(service: Service) -> None:
    send = send_job(service)
    janitor = Janitor(service.database, LocalObjects(service.settings.objects_dir))
    with service.http() as http:
        ids = [send(http, "old").json()["id"]]
        janitor.tick()
        assert send(http, "old").json()["id"] == ids[0]
        for swept in (False, True):
            _age(service)
            if swept:
                janitor.tick()
            ids.append(send(http, "old").json()["id"])
    assert len(set(ids)) == 3


def _age(service: Service) -> None:
    with service.database.session() as session:
        for row in session.scalars(select(IdempotencyKey)):
            row.created_at -= timedelta(hours=24)
