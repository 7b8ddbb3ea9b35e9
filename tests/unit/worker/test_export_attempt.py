"""One attempt at an export as its worker sees it: watched, stopped, and its end written where it was not."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from store.database import Database
from store.export_runs import ExportClaim, finish_failed
from store.exports import cancel_export, export_prefix, find_export
from store.objects import LocalObjects
from store.settings import Settings
from store.tables import Export, ExportState
from tests.exports import asked, finished, read_export, taken, tuned_model
from tests.factories import tenant
from worker import export_attempt
from worker.export_attempt import ExportAttempt
from worker.export_queue import ExportQueue
from worker.warm_trainers import WarmTrainers


class Child:
    """Stands in for the process: ends by itself after some looks, or when it is told to."""

    def __init__(
        self, exit_code: int | None, *, stops: bool = True, work: Callable[[], object] | None = None
    ) -> None:
        self._exit_code = exit_code
        self._stops = stops
        self._work = work
        self.asked = self.killed = False

    def start(self, module: str, arguments: list[str], log: Path) -> Child:
        """Called in place of the class."""
        assert module == "worker.export"
        log.write_text("its last words")
        return self

    def exit_code(self) -> int | None:
        work, self._work = self._work, None
        if work is not None:
            work()
        if self.killed and self._exit_code is None:
            return -9
        return self._exit_code

    def ask_to_stop(self) -> None:
        self.asked = True
        if self._stops:
            self._exit_code = 0

    def kill(self) -> None:
        self.killed = True


@pytest.fixture
def settings(settings: Settings) -> Settings:
    times = {"cancel_grace_seconds": 0.05, "heartbeat_seconds": 0.01, "max_attempts": 2}
    return settings.model_copy(update=times)


@pytest.fixture
def objects(settings: Settings) -> LocalObjects:
    return LocalObjects(settings.objects_dir)


@pytest.fixture
def held(database: Database, objects: LocalObjects) -> ExportClaim:
    """An export that a worker has, and whose process has stored a file."""
    asked(database, tuned_model(database, objects))
    held = taken(database)
    objects.put(export_prefix(held.export_id, held.attempt) + "half", io.BytesIO(b"half"))
    return held


@pytest.fixture
def stopping() -> threading.Event:
    return threading.Event()


@pytest.fixture
def watch(
    settings: Settings,
    database: Database,
    objects: LocalObjects,
    redis_client: redis.Redis,
    held: ExportClaim,
    stopping: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Child], None]:
    """Sees the attempt to its end with this process."""

    def to_end(child: Child) -> None:
        monkeypatch.setattr(export_attempt, "ChildProcess", child.start)
        ExportAttempt(settings, database, redis_client, objects, held, stopping).to_end()
        assert child.killed, "the whole group is gone before the end is written"
        assert not (settings.data_dir / "work" / held.export_id).exists()

    return to_end


def request_cancel(database: Database, export_id: str) -> None:
    with database.session() as session:
        model = read_export(database, export_id).model
        found = find_export(tenant(session), model, export_id, for_update=True)
        assert found is not None
        cancel_export(tenant(session), found)


@pytest.mark.parametrize("stops", [True, False])
def test_a_cancel_stops_it_and_leaves_nothing(
    database: Database, objects: LocalObjects, held: ExportClaim, watch: Callable[[Child], None], stops: bool
) -> None:
    child = Child(None, stops=stops, work=lambda: request_cancel(database, held.export_id))
    watch(child)
    assert child.asked
    assert read_export(database, held.export_id).state is ExportState.CANCELLED
    assert list(objects.list("exports/")) == []


def test_a_worker_that_stops_gives_it_back(
    database: Database,
    objects: LocalObjects,
    held: ExportClaim,
    watch: Callable[[Child], None],
    stopping: threading.Event,
) -> None:
    watch(Child(None, work=stopping.set))
    export = read_export(database, held.export_id)
    assert (export.state, export.losses) == (ExportState.QUEUED, 0)
    assert list(objects.list("exports/")) == []


def test_a_killed_process_is_a_loss_and_the_last_one_fails_it(
    database: Database, objects: LocalObjects, held: ExportClaim, watch: Callable[[Child], None]
) -> None:
    watch(Child(-9))
    export = read_export(database, held.export_id)
    assert (export.state, export.losses) == (ExportState.QUEUED, 1)
    assert list(objects.list("exports/")) == []


def test_a_crash_is_told_and_its_log_kept(
    settings: Settings, database: Database, held: ExportClaim, watch: Callable[[Child], None]
) -> None:
    watch(Child(1))
    export = read_export(database, held.export_id)
    assert export.state is ExportState.FAILED
    assert export.error is not None
    assert export.error["code"] == "export_crashed"
    assert "exit code 1" in export.error["message"]
    kept = settings.data_dir / "logs" / f"{held.export_id}-1.log"
    assert kept.read_text() == "its last words"


def test_what_its_process_has_kept_stays(
    database: Database, objects: LocalObjects, held: ExportClaim, watch: Callable[[Child], None]
) -> None:
    files = {"half": b"whole"}
    watch(Child(0, work=lambda: finished(database, objects, held, files)))
    assert read_export(database, held.export_id).state is ExportState.SUCCEEDED
    assert list(objects.list("exports/")) == [f"exports/{held.export_id}/1/half"]


def test_a_failure_that_its_process_has_told_stays(
    database: Database, objects: LocalObjects, held: ExportClaim, watch: Callable[[Child], None]
) -> None:
    def fail() -> None:
        with database.session() as session:
            finish_failed(session, held.export_id, held.attempt, code="export_unsupported", message="No")

    watch(Child(0, work=fail))
    error = read_export(database, held.export_id).error
    assert error is not None
    assert error["code"] == "export_unsupported"
    assert list(objects.list("exports/")) == []


def test_an_attempt_that_has_lost_its_hold_writes_nothing(
    settings: Settings, database: Database, held: ExportClaim, watch: Callable[[Child], None]
) -> None:
    def take_over() -> None:
        with database.session() as session:
            session.get_one(Export, held.export_id).attempt += 1

    child = Child(None, work=take_over)
    watch(child)
    export = read_export(database, held.export_id)
    assert (export.state, export.attempt, export.losses) == (ExportState.RUNNING, 2, 0)
    assert not child.asked


def test_the_warm_trainers_make_room_for_an_export_and_for_nothing_else(
    settings: Settings,
    database: Database,
    objects: LocalObjects,
    redis_client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    class Warm(WarmTrainers):
        def close(self) -> None:
            done.append("closed")

    monkeypatch.setattr(ExportAttempt, "to_end", lambda _: done.append("exported"))
    queue = ExportQueue(
        settings,
        database,
        redis_client,
        objects,
        worker="test",
        shutting_down=threading.Event(),
        warm=Warm(tmp_path / "log"),
    )
    assert (queue.run_next(), done) == (False, [])
    asked(database, tuned_model(database, objects))
    assert (queue.run_next(), done) == (True, ["closed", "exported"])
