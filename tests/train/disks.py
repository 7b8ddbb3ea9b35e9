"""A disk that fails."""

from __future__ import annotations

import itertools
import os

import pytest


def fail_writing(monkeypatch: pytest.MonkeyPatch, number: int, *, after: int) -> None:
    """Have the disk fail with an error when it has been written to so often."""
    write, written = os.pwrite, itertools.count()

    def failing(file: int, data: memoryview, offset: int) -> int:
        if next(written) < after:
            return write(file, data, offset)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", failing)
