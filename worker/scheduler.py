"""`python -m worker.scheduler`: takes back lost jobs, sends missing wake-ups, trims checkpoints."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time

import redis
from celery import Celery
from kombu.exceptions import OperationalError as BrokerAway

from store import bus, export_runs, jobs, losses, runs
from store.database import DATABASE_AWAY, Database
from store.due import due
from store.log import configure_logging, log_context
from store.object_storage import open_objects
from store.objects import ObjectStore
from store.settings import Settings, get_settings
from worker.app import create_app, send, send_export
from worker.courier import Courier
from worker.janitor import Janitor
from worker.sweeper import Sweeper
from worker.trimmer import Trimmer

RESEND_SECONDS = 15.0
TIDYING_SECONDS = 30.0
"""So often it is looked for what is over; nobody waits for that."""
NICE = 5
"""How much this process yields to trainers for a CPU."""

logger = logging.getLogger(__name__)


class Scheduler:
    """Looks after the queue; several may run at once."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        client: redis.Redis,
        app: Celery,
        objects: ObjectStore,
        *,
        resend_seconds: float = RESEND_SECONDS,
        tidying_seconds: float = TIDYING_SECONDS,
    ) -> None:
        self._settings = settings
        self._database = database
        self._redis = client
        self._app = app
        self._trimmer = Trimmer(database, objects)
        self._janitor = Janitor(database, objects)
        self._sweeper = Sweeper(database, objects)
        self._resend_seconds = resend_seconds
        self._tidying_seconds = tidying_seconds
        self._next_tidying = 0.0

    def run(self, stop: threading.Event) -> None:
        """Tick until `stop` is set; PostgreSQL or Redis being away only delays the work."""
        while not stop.is_set():
            try:
                self.tick()
            except DATABASE_AWAY as error:
                logger.warning("the database is away: %s", error)
            except (redis.RedisError, BrokerAway) as error:
                logger.warning("Redis is away: %s", error)
            stop.wait(self._settings.scheduler_seconds)

    def tick(self) -> None:
        """Do all that is due once."""
        # In most rounds there is nothing to do, which one statement tells.
        with self._database.statements() as session:
            found = due(session, patience_seconds=self._patience, sent_before_seconds=self._resend_seconds)
        if found.lost_jobs:
            self._take_back_lost()
        if found.lost_exports:
            self._take_back_exports()
        if found.wake_ups or found.lost_jobs or found.lost_exports:
            self._send_missing()
        if found.checkpoints:
            self._trimmer.tick()
        if time.monotonic() >= self._next_tidying:
            self._next_tidying = time.monotonic() + self._tidying_seconds
            self._janitor.tick()
            self._sweeper.tick()

    @property
    def _patience(self) -> float:
        # A worker that lives renews its lease at each heartbeat: two missed ones are enough for a cancel.
        return self._settings.lease_seconds - 2 * self._settings.heartbeat_seconds

    def _take_back_lost(self) -> None:
        with self._database.session() as session:
            changed = [
                losses.take_back(session, job, max_losses=self._settings.max_attempts)
                for job in runs.expired_jobs(session, patience_seconds=self._patience)
            ]
        for job in changed:
            if job is not None:
                with log_context(job_id=job.id, request_id=job.request_id):
                    logger.warning("the worker of %s was lost: now %s", job.id, job.state.value)
                    bus.publish_job(self._redis, job.id, job.last_seq)

    def _take_back_exports(self) -> None:
        with self._database.session() as session:
            for export in export_runs.expired_exports(session, patience_seconds=self._patience):
                what, most = f"Worker {export.worker} was lost", self._settings.max_attempts
                changed = export_runs.lose(
                    session, export.id, export.attempt, what=what, code="worker_lost", max_losses=most
                )
                if changed is not None:
                    logger.warning("the worker of %s was lost: now %s", changed.id, changed.state.value)

    def _send_missing(self) -> None:
        # A wake-up that was sent but is in no queue was either taken by a worker, which claims the job at
        # once, or lost with Redis; after a while it can only be the latter.
        empty = self._redis.llen(self._settings.queue) == 0
        before = self._resend_seconds if empty else None
        with self._database.session() as session:
            missing = jobs.unsent_jobs(session, sent_before_seconds=before)
            missing_exports = export_runs.unsent_exports(session, sent_before_seconds=before)
        for job_id in missing:
            send(self._app, job_id)
            with self._database.session() as session:
                jobs.mark_sent(session, job_id)
            with log_context(job_id=job_id):
                logger.info("sent %s", job_id)
        for export_id in missing_exports:
            send_export(self._app, export_id)
            with self._database.session() as session:
                export_runs.mark_export_sent(session, export_id)
            logger.info("sent %s", export_id)


def main() -> None:
    """Run the scheduler until SIGTERM or Ctrl-C."""
    settings = get_settings()
    configure_logging("scheduler", settings.log_format, settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    os.nice(NICE)
    database = Database(settings.database_url)
    objects = open_objects(settings)
    with bus.connect(settings.redis_url) as client, Courier(settings, database).running():
        Scheduler(settings, database, client, create_app(settings), objects).run(stop)
    database.close()


if __name__ == "__main__":
    main()
