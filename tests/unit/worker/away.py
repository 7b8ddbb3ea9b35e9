"""A database that a test takes away and gives back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from store.database import Database


class AwayDatabase(Database):
    """One that cannot be reached until `back` is set; `refused` is set when somebody has tried."""

    def __init__(self, database: Database) -> None:
        self.engine = database.engine
        self._real = database
        self.back = threading.Event()
        self.refused = threading.Event()

    @contextmanager
    def session(self) -> Iterator[Session]:
        if not self.back.is_set():
            self.refused.set()
            raise OperationalError("SELECT", {}, Exception("away"))
        with self._real.session() as session:
            yield session
