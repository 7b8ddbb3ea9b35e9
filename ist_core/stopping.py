"""How a run ends early: the caller's `should_stop` is asked between units of work."""

from collections.abc import Callable


class Stopped(Exception):
    """`should_stop` said so; unwinds the run, which then returns its result with `stopped=True`."""


class StopCheck:
    """Asks `should_stop`, and raises when the answer is yes."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop

    def __call__(self) -> None:
        """Raise `Stopped` if the run is to end now."""
        if self._should_stop():
            raise Stopped
