"""Chat requests in numbers, for Prometheus: this process's own, and the queue as Redis has it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from store.chat_intake import ChatLoad

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class ChatMeters:
    """Requests, tokens and the time to the first of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "isthmus_chat_requests",
            "Chat requests that are over, by how: ok, cancelled, or the error's code.",
            ["outcome"],
            registry=registry,
        )
        self._tokens = Counter("isthmus_chat_tokens", "Tokens read and written.", ["kind"], registry=registry)
        self._first = Histogram(
            "isthmus_chat_first_token_seconds",
            "Seconds from a request to the first piece of its answer.",
            buckets=SECONDS,
            registry=registry,
        )

    def count(self, outcome: str, *, prompt_tokens: int, completion_tokens: int) -> None:
        """Count a request that is over."""
        self._requests.labels(outcome).inc()
        self._tokens.labels("prompt").inc(prompt_tokens)
        self._tokens.labels("completion").inc(completion_tokens)

    def time_first(self, seconds: float) -> None:
        """Note how long a request waited for its first piece."""
        self._first.observe(seconds)


def chat_families(load: ChatLoad) -> list[Metric]:
    """The queue and who serves it."""
    return [
        GaugeMetricFamily("isthmus_chat_queue_requests", "Chat requests that wait.", value=load.waiting),
        GaugeMetricFamily(
            "isthmus_chat_processes", "Inference processes that are there.", value=load.processes
        ),
    ]
