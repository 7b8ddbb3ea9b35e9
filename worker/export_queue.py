"""Takes exports from the queue, one at a time, between a worker's jobs."""

from __future__ import annotations

import threading

import redis

from store.database import Database
from store.export_runs import claim_next_export
from store.log import log_context
from store.objects import ObjectStore
from store.settings import Settings
from worker.export_attempt import ExportAttempt
from worker.warm_trainers import WarmTrainers


class ExportQueue:
    """The exports of a worker, which do not run beside its jobs: both want the machine's memory."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        client: redis.Redis,
        objects: ObjectStore,
        *,
        worker: str,
        shutting_down: threading.Event,
        warm: WarmTrainers | None = None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._redis = client
        self._objects = objects
        self._worker = worker
        self._shutting_down = shutting_down
        self._warm = warm

    def run_next(self) -> bool:
        """See the export that waits longest to its end; False: none waits."""
        with self._database.session() as session:
            claim = claim_next_export(
                session, worker=self._worker, lease_seconds=self._settings.lease_seconds
            )
        if claim is None:
            return False
        if self._warm is not None:
            self._warm.close()  # the base model that it holds, to make room for the export's
        with log_context(request_id=claim.request_id):
            ExportAttempt(
                self._settings, self._database, self._redis, self._objects, claim, self._shutting_down
            ).to_end()
        return True
