"""Keyset pages: a position is the last row that the reader has, never an offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

Row = TypeVar("Row")


class Page(NamedTuple, Generic[Row]):
    """Some rows, and whether more follow them."""

    rows: list[Row]
    has_more: bool


class UnknownCursor(LookupError):
    """`after` names no row of the list."""

    def __init__(self, after: str) -> None:
        super().__init__(f"after: no such object: {after}")
        self.after = after


def page_of(rows: Sequence[Row], limit: int) -> Page[Row]:
    """The page of a query that asked for `limit + 1` rows."""
    return Page(list(rows[:limit]), has_more=len(rows) > limit)
