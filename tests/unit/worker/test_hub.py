"""A push to a Hub, by its real client, against a stand-in for the Hub's HTTP."""

from __future__ import annotations

import http
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants
from starlette.requests import Request

from tests.hub import HubServer, hub_server
from worker.hub import HubRepository, PushError

# huggingface_hub 2.4 sends files in a way that httpx2 would have otherwise.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

TOKEN = "hf_right"
FILES = {
    "README.md": b"---\nlicense: apache-2.0\n---\nA card",
    "config.json": b"{}",
    "model.safetensors": b"weights" * 1000,
    "inner/tokenizer.json": b"[]",
}


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with hub_server(TOKEN) as running:
        yield running


@pytest.fixture
def hub(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """An empty Hub, which speaks Git LFS and no Xet."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    server.repositories.clear()
    yield server
    server.refuse = lambda _: None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def repository(hub: HubServer, token: str = TOKEN) -> HubRepository:
    return HubRepository("team/tickets", private=True, token=token, endpoint=hub.url)


def refusing(hub: HubServer, status: int, path: str) -> None:
    """Refuse requests whose path has this in it."""

    def refuse(request: Request) -> int | None:
        return status if path in request.url.path else None

    hub.refuse = refuse


def code_of(target: HubRepository, folder: Path) -> tuple[str, str]:
    with pytest.raises(PushError) as refused:
        target.push(folder, message="push", progress=lambda _: None)
    assert target.token not in refused.value.message
    assert refused.value.param == "destination"
    return refused.value.code, refused.value.message


def test_every_file_arrives_and_again_in_the_same_repository(hub: HubServer, folder: Path) -> None:
    told: list[str] = []
    url = repository(hub).push(folder, message="first", progress=told.append)
    made = hub.repositories["team/tickets"]
    assert (made.private, made.files) == (True, FILES)
    assert url == f"{hub.url}/team/tickets/commit/{made.commits[0]}"
    assert told == ["Opening team/tickets", "Sending the files to team/tickets"]
    (folder / "config.json").write_bytes(b'{"new": 1}')
    repository(hub).push(folder, message="second", progress=told.append)
    assert (len(made.commits), made.files["config.json"]) == (2, b'{"new": 1}')


@pytest.mark.parametrize(
    ("status", "path", "code"),
    [
        (http.HTTPStatus.FORBIDDEN, "/api/", "hub_forbidden"),
        (http.HTTPStatus.FORBIDDEN, "/info/lfs/", "hub_forbidden"),
        (http.HTTPStatus.CONFLICT, "/commit/", "hub_conflict"),
        (http.HTTPStatus.PRECONDITION_FAILED, "/commit/", "hub_conflict"),
        (http.HTTPStatus.NOT_FOUND, "/preupload/", "hub_refused"),
        (http.HTTPStatus.INTERNAL_SERVER_ERROR, "/repos/create", "hub_failed"),
    ],
)
def test_a_refusal_is_told_with_a_remedy_and_leaves_no_commit(
    hub: HubServer, folder: Path, status: int, path: str, code: str
) -> None:
    refusing(hub, status, path)
    found, message = code_of(repository(hub), folder)
    assert found == code
    assert str(int(status)) in message
    assert all(not made.commits for made in hub.repositories.values())


def test_a_wrong_token_is_told_so(hub: HubServer, folder: Path) -> None:
    code, message = code_of(repository(hub, "hf_wrong"), folder)
    assert (code, "401" in message) == ("hub_unauthorized", True)
    assert hub.repositories == {}


def test_a_card_that_the_hub_does_not_take_is_told_so(hub: HubServer, folder: Path) -> None:
    (folder / "README.md").write_text("---\n- no\n- mapping\n---\n")
    code, _ = code_of(repository(hub), folder)
    assert code == "hub_refused"
    assert hub.repositories["team/tickets"].commits == []


def test_a_hub_that_is_away_is_told_so(hub: HubServer, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    code, _ = code_of(replace(repository(hub), endpoint=f"http://127.0.0.1:{port}"), folder)
    assert code == "hub_unreachable"


def test_the_token_is_in_no_text_of_it(hub: HubServer) -> None:
    assert TOKEN not in repr(repository(hub))
