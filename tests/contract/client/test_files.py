"""`client.files` and `client.uploads` against a real API."""

from __future__ import annotations

import hashlib
import io
import time
from pathlib import Path

import httpx2
import pytest
from isthmus import BadRequest, Isthmus, IsthmusError, NotFound

from tests.contract.conftest import DATA, ROWS, Service


def test_a_file_goes_up_and_comes_down(client: Isthmus, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(DATA)
    file = client.files.create(file=path)
    assert (file.filename, file.bytes) == ("train.jsonl", len(DATA))
    assert (file.rows, file.format) == (len(ROWS), "chat")
    assert file.sha256 == hashlib.sha256(DATA).hexdigest()
    assert file.validation is not None
    assert file.validation.duplicates == 0
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id) == DATA
    down = client.files.download(file.id, tmp_path / "down" / "again.jsonl")
    assert down.read_bytes() == DATA


def test_bytes_and_open_files_go_up_under_a_name(client: Isthmus) -> None:
    for source in (DATA, io.BytesIO(DATA)):
        file = client.files.create(file=source, name="rows.jsonl", expires_in_seconds=3600)
        assert (file.filename, file.bytes) == ("rows.jsonl", len(DATA))
        assert file.expires_at is not None
        assert 3500 < file.expires_at - time.time() < 3700


def test_a_list_turns_its_pages(client: Isthmus) -> None:
    made = [client.files.create(file=DATA, name=f"{n}.jsonl").id for n in range(5)]
    listed = client.files.list(limit=2)
    assert [file.id for file in listed][:5] == made[::-1]
    page = listed.first_page()
    assert ([file.id for file in page.data], page.has_more) == (made[:2:-1], True)
    later = client.files.list(limit=2, after=made[2], order="desc").first_page()
    assert [file.id for file in later.data] == made[1::-1]
    assert [file.id for file in listed] == [file.id for file in listed]


def test_every_fault_of_a_file_is_told(client: Isthmus) -> None:
    with pytest.raises(BadRequest) as caught:
        client.files.create(file=b'{"messages": []}\n{"prompt": 1}\n', name="bad.jsonl")
    error = caught.value
    assert (error.status, error.code) == (400, "invalid_dataset")
    assert "line 1" in error.message
    assert "line 2" in error.message
    assert error.request_id


def test_a_path_that_is_none_is_told_before_it_is_sent(client: Isthmus, tmp_path: Path) -> None:
    with pytest.raises(IsthmusError, match="is no file"):
        client.files.create(file=tmp_path)


def test_a_deleted_file_is_gone(client: Isthmus) -> None:
    file = client.files.create(file=DATA, name="a.jsonl")
    assert client.files.delete(file.id).deleted
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(NotFound) as caught:
            call(file.id)
        assert (caught.value.code, caught.value.param) == ("file_not_found", "file_id")


def test_a_large_file_comes_in_parts(client: Isthmus) -> None:
    upload = client.uploads.create(filename="big.jsonl", size=len(DATA), mime_type="text/jsonl")
    halves = [DATA[:100], DATA[100:]]
    parts = [client.uploads.add_part(upload.id, data=half).id for half in halves]
    done = client.uploads.complete(upload.id, part_ids=parts)
    assert done.status == "completed"
    assert done.file is not None
    assert client.files.content(done.file.id) == DATA
    other = client.uploads.create(filename="big.jsonl", size=5, mime_type="text/jsonl")
    assert client.uploads.cancel(other.id).status == "cancelled"


def test_a_download_goes_on_where_another_broke_off(service: Service, tmp_path: Path) -> None:
    answers: list[tuple[int, str | None]] = []

    def note(answer: httpx2.Response) -> None:
        answers.append((answer.status_code, answer.headers.get("content-range")))

    http = httpx2.Client(event_hooks={"response": [note]})
    with http, Isthmus(base_url=service.url, api_key=service.key, http_client=http) as client:
        file = client.files.create(file=DATA, name="a.jsonl")
        (tmp_path / "a.jsonl.part").write_bytes(DATA[:100])
        path = client.files.download(file.id, tmp_path / "a.jsonl")
    assert path.read_bytes() == DATA
    assert answers[-1] == (206, f"bytes 100-{len(DATA) - 1}/{len(DATA)}")
    assert [found.name for found in tmp_path.iterdir()] == ["a.jsonl"]
