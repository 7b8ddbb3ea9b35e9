"""Deletes what jobs do not go on from: optimizer states of old checkpoints, and what broken uploads left."""

from __future__ import annotations

import logging

from store.checkpoints import (
    adapter_files,
    all_checkpoints,
    checkpoints_prefix,
    jobs_to_trim,
    reduce_to_adapter,
    surplus,
)
from store.database import Database
from store.jobs import get_job
from store.objects import ObjectsAway, ObjectStore
from store.states import TERMINAL
from store.tables import Checkpoint, Job

logger = logging.getLogger(__name__)


class Trimmer:
    """Keeps each checkpoint's adapter, and the rest of the newest two while their job lives.

    The objects go first and the rows are told after: what breaks off in between is done again.
    """

    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self._database = database
        self._objects = objects

    def tick(self) -> None:
        """Do all that is due once."""
        with self._database.session() as session:
            due = jobs_to_trim(session)
        for job_id in due:
            try:
                self._trim(job_id)
            except (OSError, ObjectsAway) as error:
                logger.warning("%s: its old checkpoints could not be deleted yet: %s", job_id, error)

    def _trim(self, job_id: str) -> None:
        with self._database.session() as session:
            job = get_job(session, job_id)
            rows = all_checkpoints(session, job_id)
        if job is None:
            return
        reduced = surplus(job, rows)
        wanted = {
            row.prefix + file["path"]
            for row in rows
            for file in (adapter_files(row) if row in reduced else row.files)
        }
        for key in list(self._objects.list(checkpoints_prefix(job_id))):
            if key not in wanted and not _on_its_way(key, job, rows):
                self._objects.delete(key)
        with self._database.session() as session:
            for row in reduced:
                if row.resumable or row.files != adapter_files(row):
                    reduce_to_adapter(session, row)


def _on_its_way(key: str, job: Job, rows: list[Checkpoint]) -> bool:
    """Whether the object may be of an upload whose row is not written yet."""
    attempt = int(key.removeprefix(checkpoints_prefix(job.id)).split("/", 1)[0])
    if job.state in TERMINAL or attempt < job.attempt:
        return False
    return not any(key.startswith(row.prefix) for row in rows)
