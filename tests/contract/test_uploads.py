"""Files in parts: the unmodified `openai` client, and everything that can go wrong between the parts."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import openai
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openai.types import Upload as UploadAnswer
from sqlalchemy import func

from api import receiving
from store.objects import LocalObjects
from store.tables import Upload
from tests.contract.conftest import DATA, Service
from tests.contract.errors import check_error
from worker.janitor import Janitor


def _begin(service: Service, data: bytes = DATA, **changes: Any) -> UploadAnswer:
    body = {
        "bytes": len(data),
        "filename": "a.jsonl",
        "mime_type": "application/jsonl",
        "purpose": "fine-tune",
    }
    return service.client.uploads.create(**{**body, **changes})


def _parts(service: Service, upload_id: str, data: bytes = DATA, *, count: int = 3) -> list[str]:
    size = len(data) // count + 1
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    return [service.client.uploads.parts.create(upload_id, data=chunk).id for chunk in chunks]


def _left(service: Service) -> list[str]:
    """The parts in object storage."""
    return list(LocalObjects(service.settings.objects_dir).list("uploads/"))


def test_parts_become_a_file(service: Service) -> None:
    client = service.client
    expires: Any = {"anchor": "created_at", "seconds": 7200}
    upload = _begin(service, filename="../x/train.jsonl", expires_after=expires)
    assert (upload.status, upload.object, upload.bytes, upload.filename) == (
        "pending",
        "upload",
        len(DATA),
        "train.jsonl",
    )
    assert upload.expires_at == upload.created_at + 3600
    last, first = (client.uploads.parts.create(upload.id, data=half) for half in (DATA[200:], DATA[:200]))
    assert (first.object, first.upload_id) == ("upload.part", upload.id)
    done = client.uploads.complete(
        upload.id, part_ids=[first.id, last.id], md5=hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    )
    assert done.status == "completed"
    assert done.file is not None
    assert (done.file.filename, done.file.bytes, done.file.status) == ("train.jsonl", len(DATA), "processed")
    assert done.file.expires_at == done.file.created_at + 7200
    assert (done.file.model_extra or {})["rows"] == 12
    assert client.files.retrieve(done.file.id).id == done.file.id
    assert client.files.content(done.file.id).read() == DATA
    assert not [key for key in _left(service) if upload.id in key]
    assert client.uploads.complete(upload.id, part_ids=[first.id, last.id]) == done
    assert service.create_job(training_file=done.file.id)


@pytest.mark.parametrize("as_path", [True, False])
def test_the_clients_own_chunks_become_a_file(service: Service, tmp_path: Path, as_path: bool) -> None:
    data = (DATA + b"\n") * 100
    path = tmp_path / "train.jsonl"
    path.write_bytes(data)
    arguments: dict[str, Any] = (
        {"file": path} if as_path else {"file": data, "filename": "a.jsonl", "bytes": len(data)}
    )
    done = service.client.uploads.upload_file_chunked(
        mime_type="text/jsonl", purpose="fine-tune", part_size=10_000, **arguments
    )
    assert done.file is not None
    assert (done.file.model_extra or {})["validation"]["duplicates"] == 99 * 12
    assert service.client.files.content(done.file.id).read() == data


def test_a_parquet_file_in_parts_is_read(service: Service) -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"prompt": ["a"] * 500, "completion": ["b"] * 500}), stream)
    data = stream.getvalue()
    upload = _begin(service, data, filename="a.parquet", mime_type="application/vnd.apache.parquet")
    done = service.client.uploads.complete(upload.id, part_ids=_parts(service, upload.id, data, count=5))
    assert done.file is not None
    assert (done.file.model_extra or {})["container"] == "parquet"


def test_a_cancelled_upload_takes_nothing_more(service: Service) -> None:
    client, upload = service.client, _begin(service)
    parts = _parts(service, upload.id)
    cancelled = client.uploads.cancel(upload.id)
    assert (cancelled.status, cancelled.file) == ("cancelled", None)
    assert client.uploads.cancel(upload.id) == cancelled
    assert not [key for key in _left(service) if upload.id in key]
    for ask in (
        lambda: client.uploads.parts.create(upload.id, data=b"x"),
        lambda: client.uploads.complete(upload.id, part_ids=parts),
    ):
        with pytest.raises(openai.BadRequestError, match="is cancelled; begin a new one") as refused:
            ask()
        assert (refused.value.code, refused.value.param) == ("upload_ended", "upload_id")


def test_an_upload_that_is_not_finished_expires(service: Service) -> None:
    client, upload = service.client, _begin(service)
    parts = _parts(service, upload.id)
    with service.database.session() as session:
        session.get_one(Upload, upload.id).expires_at = func.now() - timedelta(seconds=1)
    with pytest.raises(openai.BadRequestError, match="is expired"):
        client.uploads.complete(upload.id, part_ids=parts)
    before = service.contents()["upload_parts"]
    Janitor(service.database, LocalObjects(service.settings.objects_dir)).tick()
    assert not [key for key in _left(service) if upload.id in key]
    assert service.contents()["upload_parts"] == before - len(parts)
    with pytest.raises(openai.BadRequestError, match="is expired"):
        client.uploads.cancel(upload.id)


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        (lambda parts: {"part_ids": parts[:1]}, "bytes_mismatch", "part_ids"),
        (lambda parts: {"part_ids": [*parts, parts[0]]}, "part_not_found", "part_ids"),
        (lambda _: {"part_ids": ["part-none"]}, "part_not_found", "part_ids"),
        (lambda parts: {"part_ids": parts[::-1]}, "invalid_dataset", "file"),
        (lambda parts: {"part_ids": parts, "md5": "0" * 32}, "md5_mismatch", "md5"),
        (lambda parts: {"part_ids": parts, "md5": "x"}, "invalid_value", "md5"),
        (lambda _: {"part_ids": []}, "invalid_value", "part_ids"),
        (lambda _: {}, "missing_parameter", "part_ids"),
        (lambda parts: {"part_ids": parts, "name": "x"}, "unknown_parameter", "name"),
    ],
)  # fmt: skip
def test_what_cannot_be_completed_stays_open(service: Service, change: Any, code: str, param: str) -> None:
    upload = _begin(service)
    parts = _parts(service, upload.id)
    before = service.contents()
    with service.http() as http:
        answer = http.post(f"/v1/uploads/{upload.id}/complete", json=change(parts))
        check_error(answer, 400, code=code, param=param)
        assert service.contents() == before
        good = http.post(f"/v1/uploads/{upload.id}/complete", json={"part_ids": parts})
    assert good.json()["status"] == "completed"


@pytest.mark.parametrize(
    ("changes", "status", "code", "param"),
    [
        ({"purpose": "vision"}, 400, "invalid_purpose", "purpose"),
        ({"mime_type": "image/png"}, 400, "unsupported_mime_type", "mime_type"),
        ({"bytes": 0}, 400, "invalid_value", "bytes"),
        ({"bytes": 300_001}, 413, "file_too_large", "bytes"),
        ({"filename": ""}, 400, "invalid_value", "filename"),
        ({"expires_after": {"anchor": "now", "seconds": 3600}}, 400, "invalid_value", "expires_after.anchor"),
        ({"color": "red"}, 400, "unknown_parameter", "color"),
    ],
)  # fmt: skip
def test_an_upload_that_cannot_be_is_refused_before_its_parts(
    service: Service, changes: dict[str, Any], status: int, code: str, param: str
) -> None:
    body = {"bytes": 10, "filename": "a.jsonl", "mime_type": "text/jsonl", "purpose": "fine-tune", **changes}
    before = service.contents()
    with service.http() as http:
        check_error(http.post("/v1/uploads", json=body), status, code=code, param=param)
    assert service.contents() == before


def test_parts_that_cannot_be_are_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.middleware.PART_BYTES", 1_000_000)
    upload = _begin(service)
    path = f"/v1/uploads/{upload.id}/parts"
    before = service.contents()

    def refused(answer: httpx.Response, status: int, code: str, param: str | None) -> None:
        check_error(answer, status, code=code, param=param)
        assert service.contents() == before

    with service.http() as http:
        refused(http.post(path, json={}), 415, "unsupported_media_type", None)
        refused(http.post(path, data={"data": "text"}, files={}), 415, "unsupported_media_type", None)
        refused(http.post(path, files={"file": ("a", b"x")}), 400, "unknown_parameter", "file")
        refused(http.post(path, files={"data": ("a", b"")}), 400, "invalid_value", "data")
        refused(
            http.post(path, files={"data": ("a", b"x" * 2 * len(DATA) + b"x")}), 400, "bytes_mismatch", "data"
        )
        refused(http.post(path, files={"data": ("a", b"x" * 1_100_000)}), 413, "part_too_large", "data")


def test_a_part_that_was_sent_twice_does_no_harm(service: Service) -> None:
    client, upload = service.client, _begin(service)
    lost = client.uploads.parts.create(upload.id, data=DATA)
    part = client.uploads.parts.create(upload.id, data=DATA)
    done = client.uploads.complete(upload.id, part_ids=[part.id])
    assert done.status == "completed"
    assert not [key for key in _left(service) if lost.id in key]


def test_two_completions_at_once_make_one_file(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is told of the end, however far it had come."""
    client, upload = service.client, _begin(service)
    parts = _parts(service, upload.id)
    before = service.contents()["files"]
    whole, place = receiving.store_checked, "api.routes.uploads.store_checked"
    answers = []

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(place, whole)
        answers.append(client.uploads.complete(upload.id, part_ids=parts))
        return whole(*arguments)

    monkeypatch.setattr(place, overtaken)
    with pytest.raises(openai.BadRequestError, match="is completed; begin a new one"):
        client.uploads.complete(upload.id, part_ids=parts)
    assert [answer.status for answer in answers] == ["completed"]
    assert service.contents()["files"] == before + 1
