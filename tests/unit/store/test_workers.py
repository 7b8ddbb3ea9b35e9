"""Workers that are there, that stop, and that are gone."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from store import runs
from store.database import Database
from store.tables import Worker
from store.workers import BEAT_SECONDS, KEPT, MISSED_BEATS, Device, beat, forget_workers, leave, list_workers
from tests.factories import make_job, tenant

DEVICE = Device("cuda", "a GPU", 100, 40)


def show(database: Database, pid: int, *, stopping: bool = False, first: bool = False) -> None:
    with database.session() as session:
        beat(session, host="here", pid=pid, device=DEVICE, stopping=stopping, first=first)


def states(database: Database) -> dict[str, str]:
    with database.session() as session:
        return {seen.worker.id: seen.state for seen in list_workers(tenant(session))}


def age(database: Database, pid: int, by: timedelta) -> None:
    with database.session() as session:
        session.execute(update(Worker).where(Worker.id == f"here:{pid}").values(seen_at=Worker.seen_at - by))


def test_each_state_is_told(database: Database) -> None:
    for pid in (1, 2, 3, 4):
        show(database, pid, stopping=pid == 3, first=True)
    with database.session() as session:
        job = make_job(session)
        assert runs.claim(session, job.id, worker="here:2", lease_seconds=60) is not None
    age(database, 4, timedelta(seconds=BEAT_SECONDS * MISSED_BEATS))
    assert states(database) == {"here:1": "idle", "here:2": "busy", "here:3": "stopping", "here:4": "gone"}
    with database.session() as session:
        seen = list_workers(tenant(session))[1]
    assert (seen.job_id, seen.attempt) == (job.id, 1)
    assert (seen.worker.device_name, seen.worker.memory_used_bytes) == ("a GPU", 40)


def test_a_beat_brings_one_back_and_only_a_start_begins_anew(database: Database) -> None:
    show(database, 1, first=True)
    with database.session() as session:
        session.execute(update(Worker).values(started_at=Worker.started_at - timedelta(hours=1)))
        began = session.get_one(Worker, "here:1").started_at
    age(database, 1, timedelta(minutes=1))
    assert states(database) == {"here:1": "gone"}
    show(database, 1)
    assert states(database) == {"here:1": "idle"}
    with database.session() as session:
        assert session.get_one(Worker, "here:1").started_at == began
    show(database, 1, first=True)
    with database.session() as session:
        assert session.get_one(Worker, "here:1").started_at > began


def test_who_ends_in_order_leaves_nothing_and_others_are_forgotten_in_time(database: Database) -> None:
    for pid in (1, 2, 3):
        show(database, pid)
    with database.session() as session:
        leave(session, host="here", pid=1)
    age(database, 2, KEPT)
    with database.session() as session:
        forget_workers(session)
    assert states(database) == {"here:3": "idle"}
