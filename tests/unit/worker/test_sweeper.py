"""What a kill between an object's write and its row's commit leaves goes a day later, and nothing else."""

from __future__ import annotations

import io
import logging
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from ist_core.records import Started
from store import runs
from store.checkpoints import checkpoint_prefix, record_checkpoint
from store.database import Database
from store.files import delete_file, file_key, mark_purged
from store.objects import LocalObjects, ObjectInfo, ObjectsAway
from store.settings import Settings
from store.strays import AGE
from store.tables import StrayObject
from store.tuned_models import artifact_prefix, create_tuned_model
from store.uploads import add_part, create_upload, part_key
from tests.factories import claimed, make_file, read_job, tenant, upload
from worker.sweeper import Sweeper


@pytest.fixture
def objects(settings: Settings) -> LocalObjects:
    return LocalObjects(settings.objects_dir)


@pytest.fixture
def sweeper(database: Database, objects: LocalObjects) -> Sweeper:
    return Sweeper(database, objects)


def put(objects: LocalObjects, key: str) -> ObjectInfo:
    return objects.put(key, io.BytesIO(b"bytes"))


def pass_a_day(database: Database) -> None:
    with database.session() as session:
        session.execute(update(StrayObject).values(seen_at=StrayObject.seen_at - AGE))


def noted(database: Database) -> int:
    with database.session() as session:
        return session.scalar(select(func.count()).select_from(StrayObject)) or 0


def keep(database: Database, objects: LocalObjects) -> set[str]:
    """One object of each kind with its row; their keys."""
    kept = {file_key(upload(database, objects, b"data"))}
    with database.session() as session:
        made = create_upload(
            tenant(session),
            filename="a",
            purpose="fine-tune",
            size=5,
            mime_type="text/plain",
            file_lifetime=None,
        )
        part = put(objects, part_key(made.id, "part-a"))
        add_part(tenant(session), made.id, "part-a", part)
    held = claimed(database)
    job = read_job(database, held.job_id)
    prefix = artifact_prefix(job.id, held.attempt)
    artifact = put(objects, f"{prefix}adapter/adapter_config.json")
    saved = put(objects, f"{checkpoint_prefix(job.id, held.attempt, 1)}adapter/weights")
    with database.session() as session:
        create_tuned_model(session, model_id="ft:a", job=job, prefix=prefix, artifacts=[artifact])
        assert runs.record_start(session, job.id, held.attempt, Started(2, 2, 1, 1, 1, "cpu"))
        assert record_checkpoint(session, job.id, held.attempt, step=1, metrics={}, stored=[saved])
    return kept | {part.key, artifact.key, saved.key}


STRAYS = (
    "files/file-stray",
    "uploads/upload-stray.part-a",
    "models/ftjob-stray/1/report.json",
    "checkpoints/ftjob-stray/1/step-000001/adapter/weights",
)


def test_strays_go_after_a_day_and_what_has_a_row_stays(
    database: Database, objects: LocalObjects, sweeper: Sweeper
) -> None:
    kept = keep(database, objects)
    other = {put(objects, "tokens/default/abc.json").key}
    for key in STRAYS:
        put(objects, key)
    sweeper.sweep()
    assert set(objects.list("")) == kept | other | set(STRAYS)
    assert noted(database) == len(STRAYS)
    pass_a_day(database)
    put(objects, "files/file-new")
    sweeper.sweep()
    assert set(objects.list("")) == kept | other | {"files/file-new"}
    assert noted(database) == 1


def test_what_gets_its_row_late_is_no_stray(
    database: Database, objects: LocalObjects, sweeper: Sweeper
) -> None:
    stored = put(objects, file_key("file-late"))
    sweeper.sweep()
    with database.session() as session:
        make_file(session).key = stored.key
    pass_a_day(database)
    sweeper.sweep()
    assert list(objects.list("files/")) == [stored.key]
    assert noted(database) == 0


def test_bytes_that_came_back_after_their_file_was_purged_are_strays(
    database: Database, objects: LocalObjects, sweeper: Sweeper
) -> None:
    file_id = upload(database, objects, b"data")
    with database.session() as session:
        assert delete_file(tenant(session), file_id) is not None
    sweeper.sweep()
    assert noted(database) == 0, "the Janitor has it"
    with database.session() as session:
        mark_purged(session, file_id)
    sweeper.sweep()
    pass_a_day(database)
    sweeper.sweep()
    assert list(objects.list("files/")) == []


def test_it_looks_once_an_hour_and_waits_for_storage(
    database: Database,
    objects: LocalObjects,
    sweeper: Sweeper,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away(*_: object) -> None:
        raise ObjectsAway("away")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(LocalObjects, "list", away)
        sweeper.tick()
    assert "object storage is away" in caplog.text
    put(objects, STRAYS[0])
    sweeper.tick()
    assert noted(database) == 0
    Sweeper(database, objects).tick()
    assert noted(database) == 1


def test_many_objects_are_looked_through_in_batches(
    database: Database, objects: LocalObjects, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.sweeper.BATCH", 2)
    for number in range(5):
        put(objects, f"files/file-{number}")
    sweeper.sweep()
    assert noted(database) == 5
    with database.session() as session:
        seen = session.scalars(select(StrayObject.seen_at)).all()
    assert max(seen) - min(seen) < timedelta(minutes=1)
