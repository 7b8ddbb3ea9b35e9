"""Heartbeats, what a trainer's exit means, its scratch folder, and retries."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy.exc import OperationalError

from standalone.ports import free_port
from store import jobs, runs
from store.database import Database
from store.pauses import request_pause
from store.runs import Claim
from store.settings import Settings
from tests.factories import claim, claimed, tenant
from worker import retry
from worker.attempt import Ending, Run
from worker.exits import Cause, MemoryKills, read_exit
from worker.retry import until_back
from worker.scratch import Scratch


@pytest.mark.parametrize(
    ("exit_code", "kills", "cause", "words"),
    [
        (-9, 1, Cause.MEMORY, "ran out of memory"),
        (-9, 0, Cause.KILLED, "SIGKILL"),
        (0, 0, Cause.KILLED, "told to stop"),
        (-15, 0, Cause.KILLED, "told to stop"),
        (-11, 1, Cause.CRASHED, "SIGSEGV"),
        (1, 0, Cause.CRASHED, "exit code 1"),
    ],
)
def test_an_exit_is_read_from_its_code_and_the_kernels_count(
    exit_code: int, kills: int, cause: Cause, words: str
) -> None:
    found = read_exit(exit_code, memory_kills=kills)
    assert found.cause is cause
    assert words in found.message
    assert "\n" not in found.message


@pytest.mark.parametrize(
    ("groups", "counter", "before", "after"),
    [
        ("0::/a/b\n", "a/b/memory.events", "oom 3\noom_kill 3\n", "oom 3\noom_kill 5\n"),
        ("4:memory:/c\n0::/\n", "memory/c/memory.oom_control", "oom_kill 0\n", "oom_kill 2\n"),
        ("4:cpu,memory:/c\n", "memory/memory.oom_control", "oom_kill 1\n", "oom_kill 3\n"),
    ],
)
def test_memory_kills_are_those_of_the_own_group(
    tmp_path: Path, groups: str, counter: str, before: str, after: str
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text(groups)
    (tmp_path / "vmstat").write_text("oom_kill 100\n")
    path = tmp_path / "fs" / counter
    path.parent.mkdir(parents=True)
    path.write_text(before)
    kills = MemoryKills(proc=tmp_path, cgroups=tmp_path / "fs")
    path.write_text(after)
    (tmp_path / "vmstat").write_text("oom_kill 200\n")  # somebody else's
    assert kills.count() == 2


def test_without_a_group_the_machines_kills_count_and_elsewhere_none(tmp_path: Path) -> None:
    assert MemoryKills(proc=tmp_path, cgroups=tmp_path).count() == 0
    (tmp_path / "vmstat").write_text("nr_free_pages 7\noom_kill 1\n")
    kills = MemoryKills(proc=tmp_path, cgroups=tmp_path)
    (tmp_path / "vmstat").write_text("nr_free_pages 7\noom_kill 2\n")
    assert kills.count() == 1


def test_a_new_attempt_clears_what_an_earlier_one_left(tmp_path: Path) -> None:
    first = Scratch(tmp_path, "ftjob-1", 1)
    first.make()
    (first.folder / "big").write_text("x")
    second = Scratch(tmp_path, "ftjob-1", 2)
    second.make()
    assert not first.folder.exists()
    assert list(second.folder.iterdir()) == []
    second.remove()
    second.remove()
    assert not (tmp_path / "work" / "ftjob-1").exists()


def test_the_log_of_a_failed_run_outlives_its_folder(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, "ftjob-1", 1)
    scratch.make()
    scratch.log.write_bytes(b"\xff\n" + b"".join(b"line %d\n" % number for number in range(5000)))
    assert scratch.log_tail() == [f"line {number}" for number in range(4980, 5000)]
    kept = scratch.keep_log()
    scratch.remove()
    assert kept.read_bytes().endswith(b"line 4999\n")


def test_work_is_repeated_until_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "WAIT_SECONDS", 0)
    answers = iter(
        [OperationalError("", {}, Exception("away")), OperationalError("", {}, Exception("away")), 7]
    )

    def work() -> int:
        answer = next(answers)
        if isinstance(answer, OperationalError):
            raise answer
        assert isinstance(answer, int)
        return answer

    assert until_back(work) == 7


@pytest.fixture
def away() -> Iterator[Database]:
    """Access to a PostgreSQL that is not there."""
    database = Database(f"postgresql://127.0.0.1:{free_port()}/none")
    yield database
    database.close()


@pytest.mark.parametrize(("lease_seconds", "ending"), [(60.0, None), (0.001, Ending.LEASE_LOST)])
def test_training_goes_on_without_a_database_for_as_long_as_the_lease(
    settings: Settings,
    away: Database,
    redis_client: redis.Redis,
    lease_seconds: float,
    ending: Ending | None,
) -> None:
    short = settings.model_copy(update={"lease_seconds": lease_seconds})
    run = Run(short, away, redis_client, Claim("ftjob-1", 1, 3), threading.Event())
    time.sleep(0.002)
    assert run._heartbeat() is ending


def test_a_heartbeat_tells_a_cancel_a_takeover_and_an_end_apart(
    settings: Settings, database: Database, redis_client: redis.Redis
) -> None:
    cancelled, taken, ended, paused = (claimed(database) for _ in range(4))
    with database.session() as session:
        jobs.request_cancel(tenant(session), cancelled.job_id)
        request_pause(tenant(session), paused.job_id)
        runs.release(session, taken.job_id, taken.attempt, message="taken")
        runs.finish_failed(session, ended.job_id, ended.attempt, code="x", message="by the trainer")
    claim(database, taken.job_id)
    endings = [
        Run(settings, database, redis_client, held, threading.Event())._heartbeat()
        for held in (cancelled, taken, ended, paused)
    ]
    assert endings == [Ending.CANCELLED, Ending.LEASE_LOST, None, Ending.PAUSED]
