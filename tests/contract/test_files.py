"""Files of every format, container and fate, through the unmodified `openai` client and by plain HTTP."""

from __future__ import annotations

import errno
import gzip
import io
import json
from datetime import timedelta
from typing import Any

import openai
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func

from store.objects import LocalObjects
from store.runs import claim
from store.tables import File
from tests.contract.conftest import DATA, ROWS, Service
from tests.contract.errors import JOBS, check_error
from worker.janitor import Janitor


def _jsonl(*rows: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def _parquet(**columns: list[Any]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


TALK = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]
FILES = {
    "chat.parquet": ("chat", "parquet", "supervised", _parquet(messages=[row["messages"] for row in ROWS])),
    "pc.jsonl": ("prompt_completion", "jsonl", "supervised", _jsonl({"prompt": "a", "completion": "b"})),
    "pc.csv": ("prompt_completion", "csv", "supervised", b"prompt,completion\r\na,b\r\n"),
    "pc.tsv": ("prompt_completion", "csv", "supervised", b"prompt\tcompletion\na\tb\n"),
    "alpaca.jsonl": ("alpaca", "jsonl", "supervised", _jsonl({"instruction": "a", "output": "b"})),
    "alpaca.csv": ("alpaca", "csv", "supervised", b"instruction;input;output\na;;b\n"),
    "share.jsonl": ("sharegpt", "jsonl", "supervised", _jsonl({"conversations": TALK})),
    "share.parquet": ("sharegpt", "parquet", "supervised", _parquet(conversations=[TALK])),
    "pairs.csv": ("chosen_rejected", "csv", "dpo", b"prompt,chosen,rejected\na,b,c\n"),
    "pairs.parquet": (
        "chosen_rejected",
        "parquet",
        "dpo",
        _parquet(prompt=["a"], chosen=["b"], rejected=["c"]),
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_told_kept_as_it_is_and_trained_on(service: Service, name: str) -> None:
    data_format, container, method, data = FILES[name]
    client = service.client
    file = client.files.create(file=(name, data), purpose="fine-tune")
    told = file.model_extra or {}
    assert (told["format"], told["container"]) == (data_format, container)
    assert told["validation"]["rows"] == told["rows"] >= 1
    assert told["validation"]["sha256"] == told["sha256"]
    assert client.files.content(file.id).read() == data
    body = {"model": "tiny", "training_file": file.id}
    with service.http() as http:
        assert http.post(JOBS, json={**body, "method": {"type": method}}).status_code == 200
        other = "dpo" if method == "supervised" else "supervised"
        refused = http.post(JOBS, json={**body, "method": {"type": other}})
    message = check_error(refused, 400, code="invalid_file_format", param="training_file")
    assert f"holds {data_format} rows" in message


def test_what_is_odd_is_kept_with_the_file(service: Service) -> None:
    late = {"messages": [*ROWS[0]["messages"], {"role": "system", "content": "x"}]}
    file = service.client.files.create(file=("a.jsonl", _jsonl(ROWS[0], ROWS[0], late)), purpose="fine-tune")
    again = service.client.files.retrieve(file.id)
    assert again == file
    validation = (again.model_extra or {})["validation"]
    assert (validation["rows"], validation["duplicates"], validation["total_warnings"]) == (3, 1, 3)
    assert [(warning["line"], warning["path"]) for warning in validation["warnings"]] == [
        (2, ""),
        (3, "messages[2]"),
        (3, "messages[2]"),
    ]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.jsonl.gz", gzip.compress(DATA), "is compressed: gzip; upload it uncompressed"),
        ("a.zip", b"PK\x03\x04" + b"\0" * 100, "is compressed: ZIP"),
        ("a.csv", b"question,answer\na,b\n", "line 1: the header names question, answer"),
        ("a.csv", b'prompt,completion\n"a,b\n', "line 2: not valid CSV"),
        ("a.parquet", b"PAR1" + b"\0" * 50, "not a Parquet file that can be read"),
        ("a.parquet", _parquet(question=["a"]), "its columns are question"),
        ("a.jsonl", _jsonl({"prompt": "a", "completion": "b\0"}), "line 1, completion: holds a NUL"),
        ("a.jsonl", b"\0" * 5000, "line 1: not valid JSON"),
    ],
)
def test_a_file_that_is_no_data_is_refused(service: Service, name: str, data: bytes, says: str) -> None:
    before = service.contents()
    with service.http() as http:
        answer = http.post("/v1/files", data={"purpose": "fine-tune"}, files={"file": (name, data)})
    assert says in check_error(answer, 400, code="invalid_dataset", param="file")
    assert service.contents() == before


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\x", "/etc/shadow", "a\tb"])
def test_a_name_that_leads_elsewhere_is_only_a_name(service: Service, name: str) -> None:
    file = service.client.files.create(file=(name, DATA), purpose="fine-tune")
    assert not set(file.filename) & set("/\\\t")
    assert (service.settings.objects_dir / "files" / file.id).read_bytes() == DATA


def test_a_deleted_file_is_gone(service: Service) -> None:
    client = service.client
    file_id = service.upload()
    path = service.settings.objects_dir / "files" / file_id
    assert path.exists()
    deleted = client.files.delete(file_id)
    assert (deleted.id, deleted.object, deleted.deleted) == (file_id, "file", True)
    for ask in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            ask(file_id)
    assert file_id not in [file.id for file in client.files.list(limit=100).data]
    with service.http() as http:
        refused = http.post(JOBS, json={"model": "tiny", "training_file": file_id})
    check_error(refused, 400, code="file_not_found", param="training_file")
    assert not path.exists()


@pytest.mark.parametrize("place", ["training_file", "validation_file"])
def test_a_file_that_a_live_job_uses_is_not_deleted(service: Service, place: str) -> None:
    client, file_id = service.client, service.upload()
    job_id = service.create_job(**{place: file_id})
    with pytest.raises(openai.BadRequestError, match=job_id) as refused:
        client.files.delete(file_id)
    assert (refused.value.code, refused.value.param) == ("file_in_use", "file_id")
    client.fine_tuning.jobs.cancel(job_id)
    assert client.files.delete(file_id).deleted
    assert client.fine_tuning.jobs.retrieve(job_id).to_dict()[place] == file_id


def test_a_file_expires_unless_a_live_job_uses_it(service: Service) -> None:
    client = service.client
    expires: Any = {"anchor": "created_at", "seconds": 3600}
    ids = [
        client.files.create(file=("a.jsonl", DATA), purpose="fine-tune", expires_after=expires).id
        for _ in range(3)
    ]
    file = client.files.retrieve(ids[0])
    assert file.expires_at == file.created_at + 3600
    job_id = service.create_job(training_file=ids[2])
    with service.database.session() as session:
        for file_id in ids[1:]:
            session.get_one(File, file_id).expires_at = func.now() - timedelta(seconds=1)
        assert claim(session, job_id, worker="test", lease_seconds=60) is not None
    janitor = Janitor(service.database, LocalObjects(service.settings.objects_dir))
    janitor.tick()
    janitor.tick()
    assert client.files.retrieve(ids[0]).id == ids[0]
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(ids[1])
    assert client.files.content(ids[2]).read() == DATA
    stored = {path.name for path in (service.settings.objects_dir / "files").iterdir()}
    assert stored & set(ids) == {ids[0], ids[2]}


@pytest.mark.parametrize("place", ["put", "part", "form"])
def test_a_full_disk_is_told_and_leaves_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    upload = service.client.uploads.create(
        bytes=len(DATA), filename="a.jsonl", mime_type="text/jsonl", purpose="fine-tune"
    )
    if place == "form":
        monkeypatch.setattr("starlette.formparsers.MultiPartParser.on_part_data", full)
    else:
        monkeypatch.setattr("store.objects.os.fsync", full)
    before = service.contents()
    with service.http() as http:
        if place == "part":
            answer = http.post(f"/v1/uploads/{upload.id}/parts", files={"data": ("a", DATA)})
        else:
            answer = http.post("/v1/files", data={"purpose": "fine-tune"}, files={"file": ("a.jsonl", DATA)})
    message = check_error(answer, 507, code="storage_full", param=None)
    assert "nothing of this was kept" in message
    assert answer.headers["x-should-retry"] == "false"
    monkeypatch.undo()
    assert service.contents() == before
