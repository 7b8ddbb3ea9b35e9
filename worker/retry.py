"""Database work that must be done, however long PostgreSQL is away."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from store.database import DATABASE_AWAY

WAIT_SECONDS = 0.5

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


def until_back(work: Callable[[], Result]) -> Result:
    """Run a whole transaction again until PostgreSQL answers.

    For the trainer, which need not know when to give up: its supervisor ends it when the lease is lost.
    """
    while True:
        try:
            return work()
        except DATABASE_AWAY as error:
            logger.warning("the database is away, trying again: %s", error)
            time.sleep(WAIT_SECONDS)
