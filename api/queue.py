"""The queue's producer: a wake-up that holds only the id of a job or an export. PostgreSQL holds the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable

from celery import Celery
from kombu.exceptions import OperationalError
from sqlalchemy.orm import Session

from store.database import DATABASE_AWAY, Database
from store.export_runs import mark_export_sent
from store.jobs import mark_sent
from store.settings import EXPORT_TASK, TRAIN_TASK, Settings

TIMEOUT_SECONDS = 2.0

logger = logging.getLogger(__name__)


class JobQueue:
    """Sends wake-ups; one that cannot be sent stays unsent in the database, and the scheduler sends it."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._queue = settings.queue
        self._database = database
        self._celery = Celery("isthmus-api", broker=settings.redis_url, set_as_current=False)
        self._celery.conf.update(
            task_ignore_result=True,
            task_publish_retry=False,
            broker_connection_retry=False,
            broker_connection_timeout=TIMEOUT_SECONDS,
            broker_transport_options={
                "socket_connect_timeout": TIMEOUT_SECONDS,
                "socket_timeout": TIMEOUT_SECONDS,
                "retry_on_timeout": False,
                "max_retries": 0,
            },
        )

    def wake(self, job_id: str) -> None:
        """Send a job's wake-up and note it, in a transaction of its own; call it after the job's commit."""
        self._send(TRAIN_TASK, job_id, mark_sent)

    def wake_export(self, export_id: str) -> None:
        """The same for an export."""
        self._send(EXPORT_TASK, export_id, mark_export_sent)

    def _send(self, task: str, identifier: str, mark: Callable[[Session, str], None]) -> None:
        try:
            self._celery.send_task(task, [identifier], queue=self._queue, ignore_result=True, retry=False)
        except (OperationalError, OSError) as error:
            logger.warning("%s: its wake-up could not be sent, the scheduler will: %s", identifier, error)
            return
        try:
            with self._database.session() as session:
                mark(session, identifier)
        except DATABASE_AWAY as error:
            logger.warning("%s: its wake-up was sent but not noted: %s", identifier, error)

    def close(self) -> None:
        """Close the connections to the broker."""
        self._celery.close()
