"""Ctrl-C, SIGTERM and SIGHUP become KeyboardInterrupt, but never in the middle of a start or a stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Owns the process's three stop signals while it is entered (main thread only).

    Inside `hold()` a signal is remembered and raised when the outermost hold ends, so that a half-started
    server is always known to the code that stops it. Inside `ignore()` a signal is dropped: a second Ctrl-C
    does not cut a clean stop short.
    """

    def __init__(self) -> None:
        self._holding = 0
        self._ignoring = False
        self._pending = False

    @contextmanager
    def installed(self) -> Iterator["Interrupts"]:
        """Route the signals here; the earlier handlers come back at the end."""
        before = [(number, signal.signal(number, self._on_signal)) for number in SIGNALS]
        try:
            yield self
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._ignoring:
            return
        if self._holding:
            self._pending = True
            return
        raise KeyboardInterrupt

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Delay the signals until the block ends."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
            if self._pending and not self._holding and not self._ignoring:
                self._pending = False
                raise KeyboardInterrupt

    def ignore(self) -> None:
        """Drop every further signal: the stop has begun."""
        self._ignoring = True


@contextmanager
def shielded_children() -> Iterator[None]:
    """Block the signals in this thread, and so in the programs it starts meanwhile (a mask survives exec).

    For helpers that run in our process group, where the terminal's Ctrl-C reaches them too.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
