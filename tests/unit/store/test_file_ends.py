"""Files that are deleted or expire, against jobs that take them at the same moment."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from ist_core.spec import JobSpec
from store import jobs
from store.database import Database
from store.files import (
    FileInUse,
    delete_file,
    expire_files,
    list_files,
    mark_purged,
    take_file,
    unpurged_files,
)
from store.quotas import quota_of
from tests.factories import make_file, tenant


def test_a_file_that_a_new_job_takes_cannot_be_deleted_meanwhile(database: Database) -> None:
    with database.session() as session:
        file_id = make_file(session).id
    deleted: list[str] = []

    def delete() -> None:
        with database.session() as session:
            try:
                delete_file(tenant(session), file_id)
            except FileInUse:
                deleted.append("in use")
            else:
                deleted.append("deleted")

    with database.session() as session:
        assert take_file(tenant(session), file_id) is not None
        thread = threading.Thread(target=delete)
        thread.start()
        thread.join(0.5)
        assert deleted == []  # it waits for the job
        jobs.create_job(
            tenant(session), spec=JobSpec(model="tiny", training_file=file_id), request={}, metadata=None
        )
    thread.join(10)
    assert deleted == ["in use"]


def test_a_job_finds_no_file_that_is_being_deleted(database: Database) -> None:
    with database.session() as session:
        file_id = make_file(session).id
    with ThreadPoolExecutor(1) as pool, database.session() as session:
        assert delete_file(tenant(session), file_id) is not None

        def take() -> object:
            with database.session() as other:
                return take_file(tenant(other), file_id)

        taken = pool.submit(take)
        session.commit()
        assert taken.result(timeout=10) is None


def test_files_expire_and_are_purged_once(database: Database) -> None:
    with database.session() as session:
        due, later, stays = (make_file(session, lifetime=seconds).id for seconds in (0, 3600, None))
    with database.session() as session:
        assert expire_files(session) == [due]
    with database.session() as session:
        assert expire_files(session) == []
        assert [file.id for file in unpurged_files(session)] == [due]
        mark_purged(session, due)
    with database.session() as session:
        assert unpurged_files(session) == []
        assert {file.id for file in list_files(tenant(session)).rows} == {later, stays}


def test_a_deleted_file_takes_no_room(database: Database) -> None:
    with database.session() as session:
        file_id = make_file(session).id
        assert quota_of(tenant(session))[1].bytes == 10
        delete_file(tenant(session), file_id)
        assert quota_of(tenant(session))[1].bytes == 0
