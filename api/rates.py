"""How many requests a key may send in a minute: a moving window in Redis, told in the answers' headers."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass

import redis
from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter

from api.errors import ApiError
from store.keys import Holder

KEY_PREFIX = "isthmus:rate"
AWAY_SECONDS = 5.0
"""So long after a failure Redis is not asked: a request must not wait for it each time."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rate:
    """A key's place in its window after a request."""

    limit: int
    remaining: int
    reset_seconds: int
    """Until the window lets one more request in than it does now."""
    allowed: bool

    @property
    def headers(self) -> dict[str, str]:
        """As OpenAI names them."""
        return {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": f"{self.reset_seconds}s",
        }

    def error(self) -> ApiError:
        """The refusal; clients of OpenAI's wait as long as it says, then try again."""
        return ApiError(
            429,
            f"This key has sent {self.limit} requests within a minute, which is its limit; "
            f"wait {self.reset_seconds} s, or have an admin raise max_requests_per_minute",
            code="rate_limit_exceeded",
            headers={"Retry-After": str(self.reset_seconds)},
        )


class RateLimits:
    """Counts requests by key."""

    def __init__(self, client: redis.Redis, default: int | None) -> None:
        self._default = default
        # The address is only read for its scheme: the connections are the client's.
        storage = RedisStorage("redis://", client.connection_pool, key_prefix=KEY_PREFIX)
        self._window = MovingWindowRateLimiter(storage)
        self._away_until = 0.0

    def count(self, holder: Holder) -> Rate | None:
        """Count a request; None: the key has no limit, or Redis is away and nobody is held up for that."""
        limit = holder.max_requests_per_minute or self._default
        if limit is None or time.monotonic() < self._away_until:
            return None
        try:
            return self._count(holder.key_id, limit)
        except redis.RedisError as error:
            logger.warning("Redis is away: requests are let through without a limit: %s", error)
            self._away_until = time.monotonic() + AWAY_SECONDS
            return None

    def _count(self, key_id: str, limit: int) -> Rate:
        item = RateLimitItemPerMinute(limit)
        allowed = self._window.hit(item, key_id)
        reset_at, remaining = self._window.get_window_stats(item, key_id)
        return Rate(
            limit=limit,
            remaining=max(0, remaining) if allowed else 0,
            reset_seconds=max(1, math.ceil(reset_at - time.time())),
            allowed=allowed,
        )
