"""Removes objects that no row names: what was stored by a process that was killed before its commit."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from store.database import Database
from store.objects import ObjectsAway, ObjectStore
from store.strays import PREFIXES, due_strays, forget_stray, named_keys, note_strays

EVERY_SECONDS = 3600.0
BATCH = 500

logger = logging.getLogger(__name__)


class Sweeper:
    """Looks through object storage once an hour; several may be at work at once.

    An object that no row names may be of a transaction that is under way, so it stays for a day after it was
    first seen. The keys of objects are made once and for all: one that is stray for so long stays so.
    """

    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self._database = database
        self._objects = objects
        self._next = 0.0

    def tick(self) -> None:
        """Sweep if it is time; object storage being away only delays it."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_SECONDS
        try:
            self.sweep()
        except (ObjectsAway, OSError) as error:
            logger.warning("object storage is away, strays stay for now: %s", error)

    def sweep(self) -> None:
        """Note what no row names, and remove what has been so for a day."""
        for batch in self._batches():
            with self._database.session() as session:
                note_strays(session, set(batch) - named_keys(session, batch))
        with self._database.session() as session:
            due = due_strays(session)
            named = named_keys(session, due)
        for key in due:
            if key not in named:
                self._objects.delete(key)
                logger.info("removed %s, which no row names", key)
            with self._database.session() as session:
                forget_stray(session, key)

    def _batches(self) -> Iterator[list[str]]:
        for prefix in PREFIXES:
            keys = list(self._objects.list(prefix))
            for begin in range(0, len(keys), BATCH):
                yield keys[begin : begin + BATCH]
