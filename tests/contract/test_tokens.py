"""`GET /v1/files/{id}/tokens`: counts for a model, kept with the file, gone with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from store.objects import LocalObjects
from tests.contract.conftest import DATA, PREFERENCE_DATA, Service
from tests.contract.errors import check_error
from tests.tiny_model import make_tiny_tokenizer
from worker.janitor import Janitor


@pytest.fixture
def model(service: Service) -> Iterator[Path]:
    """A model folder with a tokenizer, called `counted`."""
    folder = service.settings.base_models_dir / "counted"
    folder.mkdir(exist_ok=True)
    make_tiny_tokenizer().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 256}))
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _ask(service: Service, file_id: str, **query: Any) -> httpx.Response:
    with service.http() as http:
        return http.get(f"/v1/files/{file_id}/tokens", params={"model": "counted", **query})


def _kept(service: Service) -> list[str]:
    return list(LocalObjects(service.settings.objects_dir).list("tokens/"))


@pytest.mark.parametrize("data", [DATA, PREFERENCE_DATA])
def test_a_files_tokens_are_counted(service: Service, model: Path, data: bytes) -> None:
    answer = _ask(service, service.upload(data), max_length=1000).json()
    assert (answer["object"], answer["rows"], answer["counted"], answer["refused"]) == (
        "file.tokens",
        12,
        12,
        0,
    )
    assert (answer["window"], answer["max_length"], answer["truncated"]) == (256, 1000, 0)
    assert 10 < answer["min"] <= answer["median"] <= answer["p95"] <= answer["max"] < answer["total"]
    assert sum(part["rows"] for part in answer["histogram"]) == 12
    assert answer["histogram"][0]["start"] == answer["min"]


def test_counts_are_kept_by_content_and_tokenizer(
    service: Service, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DATA + b"\n" + DATA.splitlines()[0]
    first, twin = service.upload(data), service.upload(data)
    before = _kept(service)
    counted = _ask(service, first).json()
    assert len(_kept(service)) == len(before) + 1

    def unwanted(*_: object, **__: object) -> None:
        raise AssertionError("counted again")

    with monkeypatch.context() as patch:
        patch.setattr("api.file_tokens.count", unwanted)
        assert _ask(service, first).json() == counted
        assert _ask(service, twin).json() == {**counted, "file_id": twin}
        cut = _ask(service, twin, max_length=8).json()
    assert (cut["truncated"], cut["without_answer"]) == (13, 13)
    assert cut["total"] == counted["total"]
    make_tiny_tokenizer(chat_template=None).save_pretrained(model)
    (model / "chat_template.jinja").unlink()
    assert _ask(service, first).json()["total"] != counted["total"]
    janitor = Janitor(service.database, LocalObjects(service.settings.objects_dir))
    for file_id, left in ((first, len(before) + 2), (twin, len(before))):
        service.client.files.delete(file_id)
        janitor.tick()
        assert len(_kept(service)) == left


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ({"model": "nobody"}, "model_not_found", "model"),
        ({"model": "tiny"}, "tokenizer_unavailable", "model"),
        ({"max_length": 1}, "invalid_value", "max_length"),
        ({"model": ""}, "invalid_value", "model"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    service: Service, model: Path, query: dict[str, Any], code: str, param: str
) -> None:
    check_error(_ask(service, service.upload(), **query), 400, code=code, param=param)


def test_a_file_that_is_not_there_has_no_tokens(service: Service, model: Path) -> None:
    check_error(_ask(service, "file-none"), 404, code="file_not_found", param="file_id")
