"""Levels of roll-ups, and how a range of steps is made up of their buckets.

Bucket b of a level holds the steps b * width + 1 .. (b + 1) * width. It is *closed*, and has a row, once the
job has reached its last step. Level 0 are the records themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise

WIDTHS = (1, 8, 32, 128, 512, 2048, 8192, 32768, 131072)
"""Steps a bucket, by level: each a multiple of the one before."""


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring buckets of one level: `first` .. `last`, both included. Of level 0 they are steps."""

    level: int
    first: int
    last: int


def cover(first: int, last: int, level: int) -> Iterator[Span]:
    """The fewest buckets, none of a higher level, that make up the steps `first` .. `last`, in order."""
    if first > last:
        return
    if level == 0:
        yield Span(0, first, last)
        return
    width = WIDTHS[level]
    begin, end = -(-(first - 1) // width), last // width
    if begin >= end:
        yield from cover(first, last, level - 1)
        return
    yield from cover(first, begin * width, level - 1)
    yield Span(level, begin, end - 1)
    yield from cover(end * width + 1, last, level - 1)


def width_for(first: int, last: int, points: int) -> int:
    """Steps a point, so that `points` or fewer make up the steps `first` .. `last`.

    A small multiple of a level's width, from whose buckets the points are merged.
    """
    return next(width for width in _widths() if (last - 1) // width - (first - 1) // width < points)


def level_for(width: int) -> int:
    """The highest level whose buckets make up those of `width` steps."""
    return max(level for level, step in enumerate(WIDTHS) if width % step == 0)


def _widths() -> Iterator[int]:
    for width, wider in pairwise(WIDTHS):
        yield from range(width, wider, width)
    yield from (WIDTHS[-1] * factor for factor in count(1))
