"""Whose turn it is: requests for one base model go together, others come in time, projects in turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from store.chat_orders import Waiting

TURN_SECONDS = 30.0
"""A base model takes new requests for so long while another one waits; what it has begun it ends."""


class Turns:
    """The base model in memory, and since when its turn lasts."""

    def __init__(self) -> None:
        self.base: str | None = None
        self._since = 0.0

    def next(self, waiting: Sequence[Waiting], *, running: bool, now: float) -> list[Waiting]:
        """Those that may be begun now, in their order: all of one base model, which is then `base`.

        Of each project the oldest comes before anybody's second.

        Args:
            waiting: the queue, the oldest first.
            running: whether requests of the present base are under way, so that it has to stay.
            now: seconds of a clock that never goes back.
        """
        own = [request for request in waiting if request.base == self.base]
        others = [request for request in waiting if request.base != self.base]
        is_over = bool(others) and now >= self._since + TURN_SECONDS
        if running:
            return [] if is_over else _in_turns(own)
        if own and not is_over:
            return _in_turns(own)
        if not others:
            return []
        self.base, self._since = others[0].base, now
        return _in_turns([request for request in others if request.base == self.base])


def _in_turns(requests: Sequence[Waiting]) -> list[Waiting]:
    """First the first of each project, then the second of each, and so on."""
    seen: Counter[str] = Counter()
    places = []
    for request in requests:
        places.append(seen[request.project])
        seen[request.project] += 1
    ranked = sorted(zip(places, range(len(requests)), requests, strict=True))
    return [request for _, _, request in ranked]
