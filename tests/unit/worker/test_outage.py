"""Records while PostgreSQL is away: none lost, none twice, in order, and no step waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from ist_core.records import Checkpointed, Message
from store import runs
from store.database import Database
from store.objects import LocalObjects
from store.runs import Claim
from tests.factories import claim, claimed, read_job, step
from tests.unit.worker.away import AwayDatabase
from worker import buffer as buffer_module
from worker import reporter as reporter_module
from worker.buffer import Buffer
from worker.leftovers import deliver_left
from worker.reporter import Reporter
from worker.spool import CHUNK, read_left
from worker.uploads import Uploads

MANY = 100_000


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "attempt" / "records.spool"


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(LocalObjects(tmp_path / "objects"), "job", 1, tmp_path / "output")


@contextmanager
def away(postgres_url: str, database_url: str) -> Iterator[None]:
    """PostgreSQL ends the database's connections and takes no new ones."""
    name = make_url(database_url).database
    server = Database(postgres_url)
    switch = "ALTER DATABASE {} ALLOW_CONNECTIONS {}"
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(switch.format(name, "false")))
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
        connection.execute(text(ended), {"name": name})
        try:
            yield
        finally:
            connection.execute(text(switch.format(name, "true")))
    server.close()


def stored(database: Database, job_id: str) -> list[int | str]:
    """The job's steps and the reporter's messages in the order of their numbers."""
    query = """
        SELECT seq, step::text AS told FROM step_records WHERE job_id = :job
        UNION ALL SELECT seq, message FROM events WHERE job_id = :job AND message LIKE 'at %' ORDER BY seq
    """
    with database.engine.connect() as connection:
        rows = connection.execute(text(query), {"job": job_id}).all()
    return [int(row.told) if row.told.isdigit() else row.told for row in rows]


def emit(reporter: Reporter, first: int, last: int) -> float:
    """Emit steps, and a message after each thousandth; returns the seconds a record."""
    began = time.perf_counter()
    for number in range(first, last + 1):
        reporter.emit(step(number))
        if number % 1000 == 0:
            reporter.emit(Message(f"at {number}"))
    return (time.perf_counter() - began) / (last - first + 1)


def emitted(last: int) -> list[int | str]:
    """What `emit` has told up to a step."""
    told: list[int | str] = []
    for number in range(1, last + 1):
        told += [number, f"at {number}"] if number % 1000 == 0 else [number]
    return told


def test_a_hundred_thousand_records_outlast_an_outage(
    postgres_url: str,
    database_url: str,
    redis_client: redis.Redis,
    uploads: Uploads,
    spool: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reporter_module, "BACKOFF_SECONDS", (0.1,))
    database = Database(database_url)
    held = claimed(database)
    reporter = Reporter(database, redis_client, uploads, held.job_id, held.attempt, spool=spool)
    before = emit(reporter, 1, 10_000)
    with away(postgres_url, database_url):
        during = emit(reporter, 10_001, MANY)
        assert spool.stat().st_size > 0
    began = time.perf_counter()
    reporter.close()
    storing = (time.perf_counter() - began) / MANY
    assert stored(database, held.job_id) == emitted(MANY)
    assert spool.stat().st_size == 0
    job = read_job(database, held.job_id)
    assert (job.step, job.trained_tokens, job.reported) == (MANY, 10 * MANY, MANY + MANY // 1000)
    # Emitting never waits for the database: it costs less than storing, and about as much as with it.
    assert during < storing
    assert during < 20 * before
    database.close()


class Torn(Database):
    """A database whose connection breaks at commits: all is written, and the writer cannot know."""

    def __init__(self, database: Database) -> None:
        self.engine = database.engine
        self._real = database
        self.commits = 0

    @contextmanager
    def session(self) -> Iterator[Session]:
        with self._real.session() as session:
            yield session
        self.commits += 1
        if self.commits % 2:
            raise OperationalError("COMMIT", {}, Exception("server closed the connection"))


def test_what_a_broken_commit_stored_is_not_stored_again(
    database: Database,
    redis_client: redis.Redis,
    uploads: Uploads,
    spool: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reporter_module, "BACKOFF_SECONDS", (0.01,))
    monkeypatch.setattr(buffer_module, "BATCH", 300)
    held = claimed(database)
    torn = Torn(database)
    reporter = Reporter(torn, redis_client, uploads, held.job_id, held.attempt, spool=spool)
    emit(reporter, 1, 3000)
    reporter.close()
    assert torn.commits > 10
    assert stored(database, held.job_id) == emitted(3000)


@contextmanager
def ended_while_away(
    database: Database, held: Claim, client: redis.Redis, uploads: Uploads, spool: Path
) -> Iterator[None]:
    """A trainer that has emitted 3000 steps and a checkpoint, and waits for the database to end."""
    gone = AwayDatabase(database)
    reporter = Reporter(gone, client, uploads, held.job_id, held.attempt, spool=spool)
    emit(reporter, 1, 3000)
    reporter.emit(Checkpointed(3000, "checkpoints/step-003000", {}))
    emit(reporter, 3001, 3003)
    closing = threading.Thread(target=reporter.close)
    closing.start()
    deadline = time.monotonic() + 20
    while sum(1 for _ in left_in(spool)) < 3007:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield
    gone.back.set()
    closing.join(timeout=30)
    assert not closing.is_alive()


def left_in(spool: Path) -> Iterator[tuple[int, object]]:
    return read_left(spool) if spool.is_file() else iter(())


@pytest.mark.parametrize("capacity", [500, 20_000])
def test_what_a_trainer_leaves_is_stored_by_its_supervisor_once(
    database: Database,
    redis_client: redis.Redis,
    uploads: Uploads,
    spool: Path,
    monkeypatch: pytest.MonkeyPatch,
    capacity: int,
) -> None:
    monkeypatch.setattr(reporter_module, "BACKOFF_SECONDS", (0.1,))
    monkeypatch.setattr(reporter_module, "DUMP_SECONDS", 0.1)
    monkeypatch.setattr(buffer_module, "CAPACITY", capacity)
    held = claimed(database)
    with ended_while_away(database, held, redis_client, uploads, spool):
        last_seq = deliver_left(database, held.job_id, held.attempt, spool)
        assert last_seq == read_job(database, held.job_id).last_seq
        assert stored(database, held.job_id) == emitted(3003)
        assert deliver_left(database, held.job_id, held.attempt, spool) is None
    assert stored(database, held.job_id) == emitted(3003)


def test_what_an_earlier_attempt_left_is_refused(
    database: Database, redis_client: redis.Redis, uploads: Uploads, spool: Path
) -> None:
    held = claimed(database)
    buffer = Buffer(spool)
    buffer.put(step(1))
    buffer.dump()
    buffer.close()
    with database.session() as session:
        assert runs.release(session, held.job_id, held.attempt, message="taken") is not None
    again = claim(database, held.job_id)
    assert deliver_left(database, held.job_id, held.attempt, spool) is None
    assert stored(database, held.job_id) == []
    assert deliver_left(database, held.job_id, again.attempt, spool) is not None


def test_what_follows_lost_records_stays_unwritten(
    database: Database, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffer_module, "CAPACITY", 10)
    held = claimed(database)
    buffer = Buffer(spool)
    for number in range(1, 3 * CHUNK):
        buffer.put(step(number))
    buffer.close()  # killed: the first ten were in memory alone
    assert spool.stat().st_size > 0
    assert deliver_left(database, held.job_id, held.attempt, spool) is None
    assert stored(database, held.job_id) == []


def test_a_full_disk_makes_the_engine_wait_and_loses_nothing(
    database: Database,
    redis_client: redis.Redis,
    uploads: Uploads,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reporter_module, "BACKOFF_SECONDS", (0.01,))
    monkeypatch.setattr(buffer_module, "CAPACITY", 10)
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    held = claimed(database)
    gone = AwayDatabase(database)
    reporter = Reporter(gone, redis_client, uploads, held.job_id, held.attempt, spool=full)
    done = threading.Event()

    def engine() -> None:
        emit(reporter, 1, 1000)
        done.set()

    thread = threading.Thread(target=engine)
    thread.start()
    assert not done.wait(1.0)
    gone.back.set()
    assert done.wait(30)
    thread.join()
    reporter.close()
    assert stored(database, held.job_id) == emitted(1000)
