"""What is over is removed, by the scheduler; a storage that is away only delays it."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
import redis
from sqlalchemy import func

from store.database import Database
from store.objects import LocalObjects, ObjectInfo, ObjectsAway
from store.settings import Settings
from store.tables import File, Upload, UploadPart
from store.uploads import add_part, create_upload, part_key
from tests.factories import make_file, tenant
from worker.app import create_app
from worker.janitor import Janitor
from worker.scheduler import Scheduler


class AwayObjects(LocalObjects):
    """Object storage that does not answer."""

    def delete(self, key: str) -> None:
        raise ObjectsAway(key)


@pytest.fixture
def objects(settings: Settings) -> LocalObjects:
    return LocalObjects(settings.objects_dir)


@pytest.fixture
def left_behind(database: Database, objects: LocalObjects) -> tuple[str, str]:
    """An expired file and an expired upload with a part, and their bytes; their ids."""
    with database.session() as session:
        file = make_file(session, lifetime=0)
        objects.put(file.key, io.BytesIO(b"file"))
        upload = create_upload(
            tenant(session),
            filename="a",
            purpose="fine-tune",
            size=4,
            mime_type="text/plain",
            file_lifetime=None,
        )
        stored = objects.put(part_key(upload.id, "part-a"), io.BytesIO(b"part"))
        add_part(tenant(session), upload.id, "part-a", ObjectInfo(stored.key, 4, stored.sha256))
        upload.expires_at = func.now() - timedelta(seconds=1)
        return file.id, upload.id


def test_the_scheduler_removes_what_is_over(
    database: Database,
    redis_client: redis.Redis,
    settings: Settings,
    objects: LocalObjects,
    left_behind: tuple[str, str],
) -> None:
    file_id, upload_id = left_behind
    scheduler = Scheduler(settings, database, redis_client, create_app(settings), objects)
    scheduler.tick()
    assert list(objects.list("")) == []
    with database.session() as session:
        file = session.get_one(File, file_id)
        assert (file.deleted_at is None, file.purged_at is None) == (False, False)
        assert session.get_one(Upload, upload_id).status == "expired"
        assert session.get(UploadPart, "part-a") is None
        later = make_file(session, lifetime=0).id
    scheduler.tick()
    with database.session() as session:
        assert session.get_one(File, later).deleted_at is None, "the next look comes later"


def test_a_storage_that_is_away_delays_the_rest(
    database: Database,
    settings: Settings,
    objects: LocalObjects,
    left_behind: tuple[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    file_id, _ = left_behind
    Janitor(database, AwayObjects(settings.objects_dir)).tick()
    assert "object storage is away" in caplog.text
    with database.session() as session:
        assert session.get_one(File, file_id).purged_at is None
        assert session.get(UploadPart, "part-a") is not None
    Janitor(database, objects).tick()
    assert list(objects.list("")) == []
