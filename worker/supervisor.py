"""Takes jobs from the queue, one after the other, for as long as there are any."""

from __future__ import annotations

import logging
import threading

import redis

from store import bus, jobs
from store.database import Database
from store.log import log_context
from store.queue import claim_next
from store.runs import Claim
from store.settings import Settings
from worker.attempt import Run

logger = logging.getLogger(__name__)


class Supervisor:
    """Runs jobs; calls may run in several threads."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        client: redis.Redis,
        *,
        worker: str,
        shutting_down: threading.Event,
    ) -> None:
        self._settings = settings
        self._database = database
        self._redis = client
        self._worker = worker
        self._shutting_down = shutting_down

    def run(self, job_id: str) -> None:
        """See jobs to their ends until none is queued: first the one whose turn it is.

        A message is a wake-up, and `job_id`, whose it is, may come later or have been taken by another
        worker. One that comes twice, or for a job that has ended, finds nothing to claim.
        """
        while not self._shutting_down.is_set():
            claim = self._claim()
            if claim is None:
                with log_context(job_id=job_id):
                    logger.info("woken for %s: no job is queued", job_id)
                return
            with log_context(job_id=claim.job_id, request_id=self._request_id(claim.job_id)):
                bus.publish_job(self._redis, claim.job_id, claim.last_seq)
                Run(self._settings, self._database, self._redis, claim, self._shutting_down).to_end()
        # The message is acknowledged, so the scheduler must send another one.
        with self._database.session() as session:
            jobs.mark_unsent(session, job_id)

    def _claim(self) -> Claim | None:
        with self._database.session() as session:
            return claim_next(session, worker=self._worker, lease_seconds=self._settings.lease_seconds)

    def _request_id(self, job_id: str) -> str | None:
        with self._database.session() as session:
            return jobs.request_id_of(session, job_id)
