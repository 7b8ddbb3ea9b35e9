"""The live bus."""

import logging

import pytest
import redis

from standalone.ports import free_port
from store import bus


def test_a_ping_reaches_the_channels_listener(redis_client: redis.Redis, redis_url: str) -> None:
    with bus.connect(redis_url).pubsub() as listener:  # type: ignore[no-untyped-call]  # redis-py leaves it so
        listener.subscribe(bus.job_channel("ftjob-1"), bus.control_channel("ftjob-1"))
        assert [listener.get_message(timeout=5)["type"] for _ in range(2)] == ["subscribe", "subscribe"]
        bus.publish_job(redis_client, "ftjob-1", 7)
        bus.publish_cancel(redis_client, "ftjob-1")
        bus.publish_job(redis_client, "ftjob-2", 8)
        received: list[tuple[bytes, bytes]] = []
        while len(received) < 2:
            message = listener.get_message(timeout=5)
            if message is not None:
                received.append((message["channel"], message["data"]))
    assert received == [(b"isthmus:job:ftjob-1", b"7"), (b"isthmus:control:ftjob-1", b"cancel")]


def test_a_bus_that_is_away_is_logged_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    client = bus.connect(f"redis://127.0.0.1:{free_port()}/0")
    with caplog.at_level(logging.WARNING, logger="store.bus"):
        bus.publish_job(client, "ftjob-1", 7)
    assert "isthmus:job:ftjob-1" in caplog.text
