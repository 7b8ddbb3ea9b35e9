"""Exports seen from the worker: wake-ups, lost workers, what is left behind, and how an export fails."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

import ist_core.export
from ist_core.card import Names
from ist_core.errors import ExportUnsupported
from store.database import Database
from store.export_runs import ExportClaim
from store.exports import Push, cancel_export, delete_exports_of, exports_prefix, find_export
from store.objects import LocalObjects, ObjectsAway
from store.sealing import Seal
from store.settings import Settings
from store.tables import ExportState
from tests.exports import asked, finished, read_export, taken, tuned_model
from tests.factories import tenant
from tests.unit.worker.test_scheduler import queued_ids
from worker.app import create_app
from worker.export import Exporter
from worker.hub import HubRepository
from worker.janitor import Janitor
from worker.scheduler import Scheduler

SECRET = "secret"  # what tests/exports.py seals with
FILES = {"manifest.json": b'{"format": "merged"}', "model.safetensors": b"weights"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"session_secret": SecretStr(SECRET)})


@pytest.fixture
def objects(settings: Settings) -> LocalObjects:
    return LocalObjects(settings.objects_dir)


@pytest.fixture
def model(database: Database, objects: LocalObjects) -> str:
    return tuned_model(database, objects)


@pytest.fixture
def scheduler(
    settings: Settings, database: Database, redis_client: redis.Redis, objects: LocalObjects
) -> Scheduler:
    return Scheduler(settings, database, redis_client, create_app(settings), objects)


@pytest.fixture
def run(
    settings: Settings, database: Database, objects: LocalObjects, monkeypatch: pytest.MonkeyPatch
) -> Callable[[ExportClaim], None]:
    """Does an export as its process does, in this one."""
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def work(held: ExportClaim) -> None:
        Exporter(settings, database, objects, held.export_id, held.attempt).run()

    return work


def convert(monkeypatch: pytest.MonkeyPatch, error: BaseException | None = None) -> None:
    """Have the engine write FILES, or fail."""

    def export_model(
        source: object, adapter: Path, to: str, output: Path, *, run: Path, names: Names, **_: object
    ) -> None:
        assert (adapter / "adapter_config.json").is_file()
        assert {path.name for path in run.iterdir()} == {"report.json", "steps.csv"}
        assert names.model is not None
        assert names.model.startswith("ft:")
        output.mkdir()
        for path, data in FILES.items():
            (output / path).write_bytes(data)
        if error is not None:
            raise error

    monkeypatch.setitem(vars(ist_core.export), "export_model", export_model)  # asking for it loads torch
    monkeypatch.setattr("worker.export.Catalog.resolve", lambda *_: None)


def test_one_that_nobody_sent_is_sent_once(
    database: Database, redis_client: redis.Redis, settings: Settings, scheduler: Scheduler, model: str
) -> None:
    export, _ = asked(database, model)
    scheduler.tick()
    scheduler.tick()
    assert queued_ids(redis_client, settings.queue) == [export.id]


def test_a_lost_workers_export_is_queued_again_or_cancelled(
    database: Database, scheduler: Scheduler, model: str
) -> None:
    export, _ = asked(database, model)
    held = taken(database, lease_seconds=-1)
    scheduler.tick()
    assert read_export(database, export.id).state is ExportState.QUEUED
    assert taken(database, lease_seconds=-1).attempt == held.attempt + 1
    with database.session() as session:
        found = find_export(tenant(session), model, export.id, for_update=True)
        assert found is not None
        cancel_export(tenant(session), found)
    scheduler.tick()
    ended = read_export(database, export.id)
    assert (ended.state, ended.losses, ended.error) == (ExportState.CANCELLED, 1, None)


def test_the_janitor_removes_the_files_of_deleted_ones(
    database: Database, objects: LocalObjects, model: str
) -> None:
    ended, running = asked(database, model)[0], asked(database, model, "gguf_f16")[0]
    assert finished(database, objects, taken(database), FILES) is not None
    taken(database)
    (objects.folder / f"exports/{ended.id}/1/.put-half").write_bytes(b"half")
    with database.session() as session:
        delete_exports_of(tenant(session), [model])
    Janitor(database, objects).tick()
    assert read_export(database, ended.id).purged_at is not None
    assert not (objects.folder / exports_prefix(ended.id)).exists()
    assert read_export(database, running.id).purged_at is None, "its process may still be writing"


def test_files_and_manifest_are_kept(
    database: Database,
    objects: LocalObjects,
    model: str,
    run: Callable[[ExportClaim], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    convert(monkeypatch)
    export, _ = asked(database, model)
    run(taken(database))
    ended = read_export(database, export.id)
    assert (ended.state, ended.manifest) == (ExportState.SUCCEEDED, {"format": "merged"})
    assert [file["path"] for file in ended.files] == list(FILES)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ExportUnsupported("no GGUF of this model"), "export_unsupported"),
        (OSError(errno.ENOSPC, "No space left on device"), "storage_failed"),
        (ObjectsAway("the bucket is away"), "storage_unavailable"),
        (ZeroDivisionError("a fault of ours"), "internal_error"),
    ],
)
def test_a_failure_is_told_and_leaves_nothing(
    database: Database,
    objects: LocalObjects,
    model: str,
    run: Callable[[ExportClaim], None],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: str,
) -> None:
    convert(monkeypatch, error)
    export, _ = asked(database, model)
    run(taken(database))
    ended = read_export(database, export.id)
    assert (ended.state, ended.error and ended.error["code"]) == (ExportState.FAILED, code)
    assert list(objects.list("exports/")) == []


def test_a_disk_that_fills_while_files_are_stored_leaves_nothing(
    database: Database,
    objects: LocalObjects,
    model: str,
    run: Callable[[ExportClaim], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    convert(monkeypatch)
    put = LocalObjects.put

    def full(self: LocalObjects, key: str, source: object) -> object:
        if key.endswith("model.safetensors"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return put(self, key, source)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalObjects, "put", full)
    export, _ = asked(database, model)
    run(taken(database))
    error = read_export(database, export.id).error
    assert error is not None
    assert (error["code"], "make room" in error["message"]) == ("storage_failed", True)
    assert list(objects.list("exports/")) == []


def test_one_that_is_cancelled_meanwhile_keeps_nothing(
    database: Database,
    objects: LocalObjects,
    model: str,
    run: Callable[[ExportClaim], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    convert(monkeypatch)
    export, _ = asked(database, model)
    held = taken(database)
    with database.session() as session:
        found = find_export(tenant(session), model, export.id, for_update=True)
        assert found is not None
        cancel_export(tenant(session), found)
    run(held)
    assert list(objects.list("exports/")) == []
    assert read_export(database, export.id).state is ExportState.RUNNING, "its worker writes the end"


def test_a_model_that_is_gone_is_told_so(
    database: Database, objects: LocalObjects, model: str, run: Callable[[ExportClaim], None]
) -> None:
    export, _ = asked(database, model)
    objects.clear("models/")
    run(taken(database))
    error = read_export(database, export.id).error
    assert error is not None
    assert error["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("push", "environment", "token"),
    [
        (Push("team/model", private=True, token="hf_given"), "hf_own", "hf_given"),
        (Push("team/model", private=True, token=None), "hf_own", "hf_own"),
        (Push("team/model", private=True, token=None), "", None),
    ],
)
def test_a_push_takes_the_requests_token_or_the_workers(
    database: Database,
    model: str,
    run: Callable[[ExportClaim], None],
    monkeypatch: pytest.MonkeyPatch,
    push: Push,
    environment: str,
    token: str | None,
) -> None:
    used: list[str] = []

    def pushed(self: HubRepository, folder: Path, **_: object) -> str:
        assert (folder / "adapter_config.json").is_file()
        used.append(self.token)
        return "https://hub.test/commit"

    monkeypatch.setattr(HubRepository, "push", pushed)
    monkeypatch.setenv("HF_TOKEN", environment)
    export, _ = asked(database, model, "adapter", push)
    run(taken(database))
    ended = read_export(database, export.id)
    if token is None:
        assert ended.error is not None
        assert ended.error["code"] == "hub_token_missing"
    else:
        assert (used, ended.url) == ([token], "https://hub.test/commit")


def test_a_token_that_cannot_be_unsealed_is_told_so(
    database: Database, settings: Settings, objects: LocalObjects, model: str
) -> None:
    export, _ = asked(database, model, "adapter", Push("team/model", private=True, token="hf_given"))
    held = taken(database)
    other = settings.model_copy(update={"session_secret": SecretStr("other")})
    Exporter(other, database, objects, held.export_id, held.attempt).run()
    error = read_export(database, export.id).error
    assert error is not None
    assert (error["code"], "hf_given" in error["message"]) == ("hub_token_unreadable", False)


def test_what_is_kept_already_is_pushed_as_it_is(
    database: Database,
    objects: LocalObjects,
    model: str,
    run: Callable[[ExportClaim], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked(database, model)
    assert finished(database, objects, taken(database), FILES) is not None
    sent: dict[str, bytes] = {}

    def pushed(self: HubRepository, folder: Path, **_: object) -> str:
        sent.update({path.name: path.read_bytes() for path in folder.iterdir()})
        return "https://hub.test/commit"

    monkeypatch.setattr(HubRepository, "push", pushed)
    export, _ = asked(database, model, "merged", Push("team/model", private=False, token="hf_given"))
    run(taken(database))
    ended = read_export(database, export.id)
    assert (ended.state, sent) == (ExportState.SUCCEEDED, FILES)
    assert (ended.manifest, ended.files, ended.bytes) == ({"format": "merged"}, [], 0)


def test_the_seal_is_the_services_own(settings: Settings, tmp_path: Path) -> None:
    bare = settings.model_copy(update={"session_secret": None, "data_dir": tmp_path})
    sealed = Seal.of(bare).close("export-1", "hf_given")
    assert Seal.of(bare).open("export-1", sealed) == "hf_given"
    assert (tmp_path / "session_secret").stat().st_mode & 0o077 == 0
