"""Takes jobs and exports from the queue, one after the other, for as long as there are any."""

from __future__ import annotations

import logging
import threading

import redis

from store import bus, jobs
from store.database import Database
from store.export_runs import mark_export_unsent
from store.log import log_context
from store.queue import claim_next
from store.runs import Claim
from store.settings import Settings
from worker.attempt import Run
from worker.export_queue import ExportQueue
from worker.warm_trainers import WarmTrainers

logger = logging.getLogger(__name__)


class Supervisor:
    """Runs jobs, and exports between them; calls may run in several threads."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        client: redis.Redis,
        exports: ExportQueue,
        *,
        worker: str,
        shutting_down: threading.Event,
        warm: WarmTrainers | None = None,
    ) -> None:
        self._warm = warm
        self._settings = settings
        self._database = database
        self._redis = client
        self._exports = exports
        self._worker = worker
        self._shutting_down = shutting_down

    def run(self, job_id: str) -> None:
        """See jobs and exports to their ends until none is queued: first the job whose turn it is.

        A message is a wake-up, and `job_id`, whose it is, may come later or have been taken by another
        worker. One that comes twice, or for a job that has ended, finds nothing to claim.
        """
        with log_context(job_id=job_id):
            logger.info("woken for %s", job_id)
        if not self._work():
            # The message is acknowledged, so the scheduler must send another one.
            with self._database.session() as session:
                jobs.mark_unsent(session, job_id)

    def run_export(self, export_id: str) -> None:
        """The same, woken for an export."""
        logger.info("woken for %s", export_id)
        if not self._work():
            with self._database.session() as session:
                mark_export_unsent(session, export_id)

    def _work(self) -> bool:
        """A job, an export, a job, ..: so neither waits for a long line of the other. False: told to stop."""
        while not self._shutting_down.is_set():
            had_job = self._run_next()
            had_export = not self._shutting_down.is_set() and self._exports.run_next()
            if had_export and self._warm is not None:
                self._warm.prepare()
            if not had_job and not had_export:
                return True
        return False

    def _run_next(self) -> bool:
        claim = self._claim()
        if claim is None:
            return False
        with log_context(job_id=claim.job_id, request_id=self._request_id(claim.job_id)):
            bus.publish_job(self._redis, claim.job_id, claim.last_seq)
            Run(self._settings, self._database, self._redis, claim, self._shutting_down, self._warm).to_end()
        return True

    def _claim(self) -> Claim | None:
        with self._database.session() as session:
            return claim_next(session, worker=self._worker, lease_seconds=self._settings.lease_seconds)

    def _request_id(self, job_id: str) -> str | None:
        with self._database.session() as session:
            return jobs.request_id_of(session, job_id)
