"""Carries what the engine emits into PostgreSQL, in order and in batches, without slowing its steps."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import redis

from ist_core.priority import yield_to_steps
from ist_core.records import Checkpointed, Emitted
from store import bus
from store.database import DATABASE_AWAY, Database
from worker.buffer import Buffer
from worker.delivery import Delivery, Item, JobLost
from worker.uploads import Uploads

BACKOFF_SECONDS = (0.25, 0.5, 1.0, 2.0)
DUMP_SECONDS = 1.0
"""At the end, what is not stored after so long goes to disk, in case that this process is killed."""

logger = logging.getLogger(__name__)


class Reporter:
    """A buffer and a thread that empties it.

    A record that comes after a rest is stored at once; while one batch is written, the next gathers, so
    batches grow with the rate. While PostgreSQL is away items wait in memory, and beyond a bound in the file
    `spool`. `lost` is set when the fence refuses a batch: the run must stop. A checkpoint is uploaded here,
    beside the training, and its row follows the records of all its steps.
    """

    def __init__(
        self,
        database: Database,
        client: redis.Redis,
        uploads: Uploads,
        job_id: str,
        attempt: int,
        *,
        spool: Path,
    ) -> None:
        self.lost = threading.Event()
        self._redis = client
        self._uploads = uploads
        self._job_id = job_id
        self._delivery = Delivery(database, job_id, attempt)
        self._buffer = Buffer(spool)
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def emit(self, item: Emitted) -> None:
        """Take an item, to be stored soon. What is emitted after a loss is dropped."""
        self._buffer.put(item)

    def close(self) -> None:
        """Deliver all that was emitted, however long that takes, and end the thread.

        Raises JobLost when it could not be delivered.
        """
        self._buffer.end()
        self._thread.join(DUMP_SECONDS)
        if self._thread.is_alive():
            self._dump()
            self._thread.join()
        self._buffer.close()
        if self._failure is not None:
            raise self._failure
        if self.lost.is_set():
            raise JobLost(self._job_id)

    def _dump(self) -> None:
        try:
            self._buffer.dump()
        except OSError as error:
            waiting = len(self._buffer)
            logger.warning(
                "a kill would now lose %d records, which the disk has no room for: %s", waiting, error
            )

    def _run(self) -> None:
        yield_to_steps()
        try:
            while (taken := self._buffer.take())[1]:
                self._deliver(*taken)
        except JobLost:
            self._give_up()
        except Exception as error:
            # Raised again by close(), in the trainer's thread; until then the run has to stop.
            self._failure = error
            self._give_up()

    def _deliver(self, position: int, batch: Sequence[Emitted]) -> None:
        items = [self._item(emitted) for emitted in batch]
        for wait in itertools.chain(BACKOFF_SECONDS, itertools.repeat(BACKOFF_SECONDS[-1])):
            try:
                last_seq = self._delivery.write(position, items)
            except DATABASE_AWAY as error:
                logger.warning("%d records wait, the database is away: %s", len(self._buffer), error)
                time.sleep(wait)
            else:
                self._buffer.stored(len(batch))
                bus.publish_job(self._redis, self._job_id, last_seq)
                return

    def _give_up(self) -> None:
        self.lost.set()
        self._buffer.drop()

    def _item(self, emitted: Emitted) -> Item | None:
        return self._uploads.store(emitted) if isinstance(emitted, Checkpointed) else emitted
