"""The queue's producer: a wake-up that holds only a job's id. PostgreSQL holds the job."""

from __future__ import annotations

import logging

from celery import Celery
from kombu.exceptions import OperationalError

from store.database import DATABASE_AWAY, Database
from store.jobs import mark_sent
from store.settings import TRAIN_TASK, Settings

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
        try:
            self._celery.send_task(TRAIN_TASK, [job_id], queue=self._queue, ignore_result=True, retry=False)
        except (OperationalError, OSError) as error:
            logger.warning("job %s: its wake-up could not be sent, the scheduler will: %s", job_id, error)
            return
        try:
            with self._database.session() as session:
                mark_sent(session, job_id)
        except DATABASE_AWAY as error:
            logger.warning("job %s: its wake-up was sent but not noted: %s", job_id, error)

    def close(self) -> None:
        """Close the connections to the broker."""
        self._celery.close()
