"""What follows a transaction: after the commit, or after the roll-back, and never both."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from api.auth import Caller, require_key
from api.errors import bad_request, install
from api.transaction import Tx
from store.database import Database
from store.files import receive_file
from store.keys import Holder
from store.objects import ObjectInfo
from store.projects import DEFAULT_PROJECT
from store.tables import File

CALLER = Caller(Holder("key-test", DEFAULT_PROJECT, frozenset({"write"}), "0", None, None), "key")


@dataclass
class OnlyDatabase:
    database: Database


@pytest.fixture
def happened() -> list[str]:
    return []


@pytest.fixture
def client(database: Database, happened: list[str]) -> TestClient:
    app = FastAPI()
    app.state.services = OnlyDatabase(database)
    app.dependency_overrides[require_key] = lambda: CALLER
    install(app)

    @app.post("/{how}")
    def route(how: str, tx: Tx) -> str:
        stored = ObjectInfo("files/x", 1, "0")
        receive_file(tx.tenant, file_id="file-x", filename="x", purpose="fine-tune", stored=stored)
        tx.after_commit(lambda: happened.append(f"committed, {rows(database)} row"))
        tx.after_rollback(lambda: happened.append(f"rolled back, {rows(database)} rows"))
        if how == "refuse":
            raise bad_request("no", param=None)
        if how == "stumble":
            tx.after_commit(stumble)
        return how

    return TestClient(app)


def rows(database: Database) -> int:
    with database.session() as session:
        return session.scalar(select(func.count()).select_from(File)) or 0


def stumble() -> None:
    raise RuntimeError("after the commit")


def test_the_commit_comes_before_the_answer(
    client: TestClient, database: Database, happened: list[str]
) -> None:
    assert client.post("/do").status_code == 200
    assert happened == ["committed, 1 row"]
    assert rows(database) == 1


def test_a_refusal_rolls_back(client: TestClient, database: Database, happened: list[str]) -> None:
    assert client.post("/refuse").status_code == 400
    assert happened == ["rolled back, 0 rows"]
    assert rows(database) == 0


def test_a_failure_after_the_commit_changes_no_answer(
    client: TestClient, database: Database, happened: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert client.post("/stumble").status_code == 200
    assert "after the commit" in caplog.text
    assert happened == ["committed, 1 row"]
    assert rows(database) == 1
