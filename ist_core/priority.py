"""Threads that work beside the steps, and what they take of the processors."""

from __future__ import annotations

import os
import sys

_NICE = 10


def yield_to_steps() -> None:
    """Let other threads go before the one that calls this, until it ends.

    The threads of a step wait for each other: one that loses its processor for a moment holds up all. Work
    beside them then takes what they leave, as while Python is between two products. Only on Linux has a
    thread a priority of its own; elsewhere nothing changes.
    """
    if sys.platform == "linux":
        os.nice(_NICE)
