"""A series in one line of text, and the series of any length that it is drawn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS = "_.-=+*%#"
MOST_POINTS = 2048


class Series:
    """Values in bounded memory: once it is full, each two neighbours become their mean."""

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = most
        self._stride = 1
        self._sum, self._count = 0.0, 0
        self._points: list[float] = []
        self.last: float | None = None
        self.low: float | None = None

    def add(self, value: float | None) -> None:
        """Append a value; what is missing or not finite is left out."""
        if value is None or not math.isfinite(value):
            return
        self.last = value
        self.low = value if self.low is None else min(self.low, value)
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count < self._stride:
            return
        self._points.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self._points) >= self._most:
            self._points = _means(self._points, len(self._points) // 2)
            self._stride *= 2

    def points(self) -> list[float]:
        """The means, oldest first; the last may stand for fewer values than the others."""
        return self._points + ([self._sum / self._count] if self._count else [])


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """The values in at most `width` characters, from the lowest block to the highest.

    More values than characters are averaged; the same value everywhere is a line in the middle.
    """
    if not values or width < 1:
        return ""
    blocks = ASCII_BLOCKS if ascii_only else BLOCKS
    points = _means(values, width) if len(values) > width else list(values)
    low, high = min(points), max(points)
    if high == low:
        return blocks[len(blocks) // 2 - 1] * len(points)
    top = len(blocks) - 1
    return "".join(blocks[round((point - low) / (high - low) * top)] for point in points)


def _means(values: Sequence[float], parts: int) -> list[float]:
    """The means of `parts` pieces as equal in length as can be."""
    bounds = [index * len(values) // parts for index in range(parts + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in pairwise(bounds)]
