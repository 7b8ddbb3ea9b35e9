"""What was emitted and is not yet stored: some in memory, the rest on disk, in order."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from pathlib import Path

from ist_core.records import Checkpointed, Emitted
from worker.spool import Spool

CAPACITY = 20_000
"""Items in memory; beyond them the disk is used."""
BATCH = 4096
REST = 9
"""After a small batch the reader rests for so many times as long as it was at work: a tenth of a processor at
most is taken from the engine. What comes after the rest goes at once."""
MAX_REST_SECONDS = 0.1
RETRY_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Buffer:
    """A queue with one reader, who takes an item off only when it is stored.

    `put` never waits but for a disk that is full: then until there is room, or the reader has caught up.
    """

    def __init__(self, spool: Path) -> None:
        self._changed = threading.Condition()
        self._memory: deque[Emitted] = deque()
        self._spool = Spool(spool)
        self._stored = 0
        self._taken_at = time.monotonic()
        self._rests = False
        self._ended = False
        self._dropped = False

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._memory) + len(self._spool)

    def put(self, item: Emitted) -> None:
        """Add an item; after `drop` it is forgotten."""
        with self._changed:
            if self._dropped:
                return
            if not len(self._spool) and len(self._memory) < CAPACITY:
                self._memory.append(item)
                if len(self._memory) in {1, BATCH}:  # what the reader may be waiting for
                    self._changed.notify()
            else:
                self._spill(item)

    def take(self) -> tuple[int, list[Emitted]]:
        """The position of the oldest items, and up to BATCH of them, which stay in the buffer until `stored`.

        Waits for the first. A checkpoint comes alone, so that no record waits for its upload. No items: the
        buffer has ended, or was dropped.
        """
        now = time.monotonic()
        rested = now + min(REST * (now - self._taken_at), MAX_REST_SECONDS) if self._rests else now
        with self._changed:
            self._changed.wait_for(lambda: len(self) > 0 or self._over)
            rest = rested - time.monotonic()
            if rest > 0:
                self._changed.wait_for(lambda: len(self) >= BATCH or self._over, rest)
        while self._refill():
            pass
        with self._changed:
            waiting = [] if self._dropped else list(itertools.islice(self._memory, BATCH))
        batch = _before_checkpoint(waiting)
        # Not next to a checkpoint: the engine removes its folder as it goes on, so the upload is urgent.
        self._rests = len(batch) == len(waiting) and not any(isinstance(item, Checkpointed) for item in batch)
        self._taken_at = time.monotonic()
        return self._stored, batch

    def stored(self, count: int) -> None:
        """Take the oldest `count` items off: they are stored."""
        with self._changed:
            for _ in range(count):
                self._memory.popleft()
            self._stored += count
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing more will be put: `take` gives what is left, then nothing."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def drop(self) -> None:
        """Forget all that waits, and all that will be put."""
        with self._changed:
            self._dropped = True
            self._memory.clear()
            self._spool.clear()
            self._changed.notify_all()

    def dump(self) -> None:
        """Write to the spool all that is only in memory, for `read_left` after a kill. Raises OSError."""
        with self._changed:
            if self._dropped:
                return
            self._spool.dump(self._stored, list(self._memory))
            if len(self._spool):
                self._spool.flush(self._stored + len(self))

    def close(self) -> None:
        """Close the spool's file, and empty it if all is stored."""
        if not len(self):
            self._spool.clear()
        self._spool.close()

    @property
    def _over(self) -> bool:
        return self._ended or self._dropped

    def _refill(self) -> bool:
        """Read a chunk back from disk while there is no full batch; `put` waits for one chunk at most."""
        with self._changed:
            if self._dropped or len(self._memory) >= BATCH or not len(self._spool):
                return False
            self._memory.extend(self._spool.read())
            return True

    def _spill(self, item: Emitted) -> None:
        position = self._stored + len(self)
        try:
            self._spool.append(position, item)
        except OSError as error:
            logger.warning("training waits: the database is away, and the spool cannot grow: %s", error)
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        """Wait until the spool could be written or was read."""
        while self._spool.overfull and not self._dropped:
            self._changed.wait(RETRY_SECONDS)
            if self._spool.overfull:
                self._try_again()

    def _try_again(self) -> None:
        try:
            self._spool.flush(self._stored + len(self))
        except OSError:
            logger.debug("the spool's disk is still full", exc_info=True)


def _before_checkpoint(batch: list[Emitted]) -> list[Emitted]:
    """The items up to the first checkpoint; that alone where it is the first."""
    place = next((at for at, item in enumerate(batch) if isinstance(item, Checkpointed)), len(batch))
    return batch[: max(place, 1)]
