"""Tells every few seconds that this worker is there, beside the jobs that it runs."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from store.database import DATABASE_AWAY, Database
from store.workers import BEAT_SECONDS, beat, leave, worker_id
from worker.beside import beside
from worker.device_facts import read_device

logger = logging.getLogger(__name__)


class Presence:
    """This process among the workers of its database."""

    def __init__(
        self, database: Database, shutting_down: threading.Event, *, seconds: float = BEAT_SECONDS
    ) -> None:
        self._database = database
        self._shutting_down = shutting_down
        self._seconds = seconds
        self._host = socket.gethostname()
        self._pid = os.getpid()

    @property
    def id(self) -> str:
        """What its jobs name it by."""
        return worker_id(self._host, self._pid)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Beat from a thread of its own until the block ends; then the row goes."""
        try:
            with beside(self._run, name="presence", daemon=True):
                yield
        finally:
            self._leave()

    def _run(self, stop: threading.Event) -> None:
        first = True
        while not stop.is_set():
            try:
                self.beat(first=first)
                first = False
            except DATABASE_AWAY as error:
                logger.warning("the database is away, so nobody sees this worker: %s", error)
            stop.wait(self._seconds)

    def beat(self, *, first: bool = False) -> None:
        """Write that the worker is there, once."""
        device = read_device()
        with self._database.session() as session:
            beat(
                session,
                host=self._host,
                pid=self._pid,
                device=device,
                stopping=self._shutting_down.is_set(),
                first=first,
            )

    def _leave(self) -> None:
        try:
            with self._database.session() as session:
                leave(session, host=self._host, pid=self._pid)
        except DATABASE_AWAY as error:
            logger.warning("the database is away, so this worker is shown as gone for a while: %s", error)
