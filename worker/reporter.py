"""Carries what the engine emits into PostgreSQL, in order and in batches, without slowing its steps."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable

import redis
from sqlalchemy.orm import Session

from ist_core.records import Checkpointed, Emitted, Message, Started, StepRecord
from store import bus
from store.checkpoints import record_checkpoint
from store.database import DATABASE_AWAY, Database
from store.events import append_events
from store.jobs import get_job
from store.runs import record_start
from store.steps import append_steps
from worker.checkpoints import Uploaded, Uploads

BATCH = 64
FLUSH_SECONDS = 0.25
CAPACITY = 20_000
BACKOFF_SECONDS = (0.25, 0.5, 1.0, 2.0)

Item = Started | StepRecord | Message | Uploaded
"""What is written of what was emitted."""

logger = logging.getLogger(__name__)


class JobLost(RuntimeError):
    """Another attempt has the job, or it has ended: nothing may be written for it any more."""


class Reporter:
    """A bounded buffer and a thread that empties it; a context manager.

    While PostgreSQL is away the records wait in memory and are delivered afterwards; a full buffer makes
    `emit` wait. `lost` is set when the fence refuses a batch: the run must stop. A checkpoint is uploaded
    here, beside the training, and its row follows the records of all its steps.
    """

    def __init__(
        self, database: Database, client: redis.Redis, uploads: Uploads, job_id: str, attempt: int
    ) -> None:
        self.lost = threading.Event()
        self._database = database
        self._redis = client
        self._uploads = uploads
        self._job_id = job_id
        self._attempt = attempt
        self._buffer: deque[Emitted] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def emit(self, item: Emitted) -> None:
        """Queue an item; waits while the buffer is full. What is emitted after a loss is dropped."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._buffer) < CAPACITY or self.lost.is_set())
            if not self.lost.is_set():
                self._buffer.append(item)
                if len(self._buffer) >= BATCH:
                    self._changed.notify_all()

    def close(self) -> None:
        """Deliver all that was emitted and end the thread. Raises JobLost when it could not be delivered."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        if self.lost.is_set():
            raise JobLost(self._job_id)

    def _run(self) -> None:
        try:
            while batch := self._next_batch():
                self._deliver(batch)
        except Exception as error:
            # Raised again by close(), in the trainer's thread; until then the run has to stop.
            self._failure = error
            self._give_up()

    def _next_batch(self) -> list[Emitted]:
        """The next items; after a loss, or at the end with nothing left, an empty list."""
        with self._changed:
            while not self.lost.is_set():
                self._changed.wait_for(lambda: len(self._buffer) >= BATCH or self._closing, FLUSH_SECONDS)
                if self._buffer:
                    return list(itertools.islice(self._buffer, BATCH))
                if self._closing:
                    break
            return []

    def _deliver(self, batch: list[Emitted]) -> None:
        items = [item for emitted in batch if (item := self._item(emitted)) is not None]
        for wait in itertools.chain(BACKOFF_SECONDS, itertools.repeat(BACKOFF_SECONDS[-1])):
            try:
                with self._database.session() as session:
                    last_seq = self._write(session, items)
            except DATABASE_AWAY as error:
                logger.warning("%d records wait, the database is away: %s", len(self._buffer), error)
                time.sleep(wait)
            except JobLost:
                self._give_up()
                return
            else:
                with self._changed:
                    for _ in batch:
                        self._buffer.popleft()
                    self._changed.notify_all()
                bus.publish_job(self._redis, self._job_id, last_seq)
                return

    def _give_up(self) -> None:
        with self._changed:
            self.lost.set()
            self._buffer.clear()
            self._changed.notify_all()

    def _item(self, emitted: Emitted) -> Item | None:
        return self._uploads.store(emitted) if isinstance(emitted, Checkpointed) else emitted

    def _write(self, session: Session, batch: Iterable[Item]) -> int:
        """Write a batch in order, in one transaction; returns the job's last number. Raises JobLost."""
        for kind, group in itertools.groupby(batch, type):
            items = list(group)
            if not self._append(session, kind, items):
                raise JobLost(self._job_id)
        job = get_job(session, self._job_id)
        if job is None:
            raise JobLost(self._job_id)
        return job.last_seq

    def _append(self, session: Session, kind: type[Item], items: list[Item]) -> bool:
        job_id, attempt = self._job_id, self._attempt
        if kind is StepRecord:
            steps = [item for item in items if isinstance(item, StepRecord)]
            return append_steps(session, job_id, attempt, steps)
        if kind is Message:
            messages = [item for item in items if isinstance(item, Message)]
            return append_events(session, job_id, attempt, messages)
        if kind is Uploaded:
            made = [item for item in items if isinstance(item, Uploaded)]
            return all(
                record_checkpoint(
                    session, job_id, attempt, step=item.step, metrics=item.metrics, stored=item.stored
                )
                for item in made
            )
        starts = [item for item in items if isinstance(item, Started)]
        return all(record_start(session, job_id, attempt, start) for start in starts)
