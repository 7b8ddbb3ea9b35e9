"""The live bus: Redis channels that say *look again*. PostgreSQL holds what there is to see.

A ping that is lost costs time, never truth: readers and workers also look on their own.
"""

import logging

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_SECONDS = 2.0
CANCEL = "cancel"
PAUSE = "pause"

logger = logging.getLogger(__name__)


def job_channel(job_id: str) -> str:
    """The channel on which a job's writers publish their last sequence number after each commit."""
    return f"isthmus:job:{job_id}"


def control_channel(job_id: str) -> str:
    """The channel on which a running job's worker hears of requests."""
    return f"isthmus:control:{job_id}"


def connect(url: str) -> "redis.Redis":
    """A client that gives up soon: nobody waits for a hint. Connects at the first command."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def publish_job(client: "redis.Redis", job_id: str, seq: int) -> None:
    """Tell a job's followers that all up to `seq` is committed; call it after the commit."""
    _publish(client, job_channel(job_id), str(seq))


def publish_cancel(client: "redis.Redis", job_id: str) -> None:
    """Wake the job's worker for a cancel request that is committed; else it sees it at its next heartbeat."""
    _publish(client, control_channel(job_id), CANCEL)


def publish_pause(client: "redis.Redis", job_id: str) -> None:
    """As `publish_cancel`, for a pause or its withdrawal."""
    _publish(client, control_channel(job_id), PAUSE)


def _publish(client: "redis.Redis", channel: str, message: str) -> None:
    try:
        client.publish(channel, message)
    except redis.RedisError as error:
        logger.warning("could not publish on %s: %s", channel, error)
