"""What a running job's worker hears: that a user has asked for something, which is then in PostgreSQL."""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import Self

import redis
from redis.client import PubSub

from store import bus

logger = logging.getLogger(__name__)


class Ears:
    """Listens on a job's control channel, so that a cancel need not wait for the next heartbeat."""

    def __init__(self, client: redis.Redis, job_id: str) -> None:
        self._control: PubSub = client.pubsub(  # type: ignore[no-untyped-call]  # redis-py leaves it so
            ignore_subscribe_messages=True
        )
        self._channel = bus.control_channel(job_id)
        self._subscribed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._control.close()

    def heard(self, seconds: float) -> bool:
        """Wait for up to `seconds`; True when something was said. Without Redis it only waits."""
        try:
            if not self._subscribed:
                self._control.subscribe(self._channel)
                self._subscribed = True
                return True  # what was said before we listened is in PostgreSQL: look there
            return self._control.get_message(timeout=seconds) is not None
        except redis.RedisError as error:
            if self._subscribed:
                logger.warning("no control channel, heartbeats only: %s", error)
            self._subscribed = False
            time.sleep(seconds)
            return False
