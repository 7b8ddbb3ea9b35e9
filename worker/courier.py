"""Delivers events to webhooks: signed, at least once, again with growing pauses until an endpoint takes them.

signature = base64(HMAC-SHA256(secret, "id.timestamp.body"))
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpcore2

from store.database import DATABASE_AWAY, Database
from store.deliveries import Due, claim_due, forget_deliveries, record_outcome
from store.log import log_context
from store.settings import Settings
from store.webhooks import SECRET_PREFIX
from worker.beside import beside
from worker.guarded_network import GuardedNetwork, PrivateAddress

BATCH = 32
ANSWER_SECONDS = 15.0
"""From the look-up of the name to the head of the answer; its body is not read."""
LEASE_SECONDS = 60.0
"""After so long another scheduler tries what this one took and did not finish."""
MAX_ATTEMPTS = 12
KEPT_DAYS = 30
"""So long the log tells of a delivery that is over."""
CLEANING_SECONDS = 3600.0
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 6 * 3600.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went."""

    status_code: int | None
    error: str | None

    @property
    def delivered(self) -> bool:
        """Whether the endpoint took it."""
        return self.error is None


def pause_seconds(attempt: int) -> float:
    """Until the next attempt: 5 s, three times as long each time up to 6 h, a fifth more or less."""
    pause: float = min(FIRST_PAUSE_SECONDS * 3 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
    return pause * (0.8 + 0.4 * random.random())  # noqa: S311  # it only spreads the load


def signature(secrets: Sequence[str], delivery_id: str, timestamp: int, body: str) -> str:
    """The header `webhook-signature`, as Standard Webhooks has it: one signature by each secret."""
    signed = f"{delivery_id}.{timestamp}.{body}".encode()
    keys = [base64.b64decode(secret.removeprefix(SECRET_PREFIX)) for secret in secrets]
    digests = [hmac.digest(key, signed, hashlib.sha256) for key in keys]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


class Courier:
    """Sends what is due; several may run at once."""

    def __init__(
        self, settings: Settings, database: Database, *, pause: Callable[[int], float] = pause_seconds
    ) -> None:
        self._settings = settings
        self._database = database
        self._pause = pause
        self._next_cleaning = 0.0
        self._tls = ssl.create_default_context()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send from a thread of its own until the block ends, so that no endpoint holds up the queue."""
        with beside(self._run, name="courier"):
            yield

    def tick(self) -> int:
        """Try once all that is due, up to a batch; returns how many that were."""
        with self._database.session() as session:
            batch = claim_due(session, limit=BATCH, lease_seconds=LEASE_SECONDS)
        if batch:
            asyncio.run(self._send_all(batch))
        return len(batch)

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._forget_old()
                if self.tick() == BATCH:
                    continue
            except DATABASE_AWAY as error:
                logger.warning("the database is away: %s", error)
            stop.wait(self._settings.scheduler_seconds)

    def _forget_old(self) -> None:
        if time.monotonic() < self._next_cleaning:
            return
        self._next_cleaning = time.monotonic() + CLEANING_SECONDS
        with self._database.session() as session:
            forget_deliveries(session, older_than_days=KEPT_DAYS)

    async def _send_all(self, batch: list[Due]) -> None:
        network = GuardedNetwork(private=self._settings.webhook_private)
        # Without a pool of connections kept open, without a proxy, and without following redirects.
        async with httpcore2.AsyncConnectionPool(
            ssl_context=self._tls, network_backend=network, max_keepalive_connections=0
        ) as pool:
            await asyncio.gather(*(self._send(pool, due) for due in batch))

    async def _send(self, pool: httpcore2.AsyncConnectionPool, due: Due) -> None:
        with log_context(job_id=due.job_id):
            try:
                outcome = await attempt(pool, due)
            except Exception:
                # A fault of ours with one delivery must hold up no other one, nor this one for ever.
                logger.exception("webhook delivery %s could not be tried", due.id)
                outcome = Outcome(None, "the service failed to send it; its log has the cause")
            how = "taken" if outcome.delivered else outcome.error
            logger.info("webhook delivery %s, attempt %d: %s", due.id, due.attempt, how)
        last = outcome.delivered or due.attempt >= MAX_ATTEMPTS or due.job_id is None
        with self._database.session() as session:
            record_outcome(
                session,
                due,
                delivered=outcome.delivered,
                status_code=outcome.status_code,
                error=outcome.error,
                retry_seconds=None if last else self._pause(due.attempt),
            )


async def attempt(pool: httpcore2.AsyncConnectionPool, due: Due) -> Outcome:
    """Send one delivery; whatever goes wrong is an outcome."""
    timestamp = int(time.time())
    headers: dict[bytes | str, bytes | str] = {
        "content-type": "application/json",
        "user-agent": "isthmus-webhooks",
        "webhook-id": due.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(due.secrets, due.id, timestamp, due.body),
    }
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            pool.stream("POST", due.url, headers=headers, content=due.body.encode()) as answer,
        ):
            status = answer.status
    except TimeoutError:
        return Outcome(None, f"no answer within {ANSWER_SECONDS:g} s")
    except PrivateAddress as error:
        return Outcome(None, str(error))
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError) as error:
        return Outcome(None, f"{type(error).__name__}: {error}"[:500])
    if 200 <= status < 300:
        return Outcome(status, None)
    redirected = " (redirects are not followed)" if 300 <= status < 400 else ""
    return Outcome(status, f"answered {status}{redirected}")
