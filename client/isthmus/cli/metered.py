"""A data file that tells how far it has been read, for a progress bar."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from isthmus.cli.terminal import Terminal

BUFFER_BYTES = 1024 * 1024
SHOWN_FROM_BYTES = 8 * 1024 * 1024
"""Smaller files are read before a bar could be seen."""


class MeteredFile(io.FileIO):
    """A file that reports its position after every read."""

    def __init__(self, path: Path, seen: Callable[[int], None]) -> None:
        super().__init__(path)
        self._seen = seen

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:  # type: ignore[override]  # Buffer: 3.12
        """As FileIO's, and report."""
        count = super().readinto(buffer)
        self._seen(self.tell())
        return count


@contextmanager
def metered(path: Path, what: str, terminal: Terminal) -> Iterator[BinaryIO]:
    """Open a file for reading; a bar on stderr, if that is a terminal, tells how far it is.

    Raises OSError.
    """
    size = path.stat().st_size
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=terminal.err,
        transient=True,
        disable=not terminal.err.is_terminal or size < SHOWN_FROM_BYTES,
    )
    task = bar.add_task(what, total=size)
    with (
        bar,
        MeteredFile(path, lambda position: bar.update(task, completed=position)) as raw,
        io.BufferedReader(raw, BUFFER_BYTES) as stream,
    ):
        yield stream
