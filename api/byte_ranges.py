"""`Range` and `If-Range` of RFC 9110: the part of a download that a client asks for, to go on with it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes from `first` up to, not including, `stop`."""

    first: int
    stop: int

    @property
    def size(self) -> int:
        """How many bytes it is."""
        return self.stop - self.first


class NotSatisfiable(ValueError):
    """The part that is asked for begins after the end, or is empty."""


def wanted_part(asked: str | None, condition: str | None, *, etag: str, size: int) -> Part | None:
    """The part that the headers `Range` and `If-Range` ask for; None: the whole.

    Other units, several parts at once and what is no range at all are answered by the whole, as the RFC
    allows. So is a condition that names another version, or a date. Raises NotSatisfiable.
    """
    match = None if asked is None else _RANGE.fullmatch(asked)
    if match is None or condition not in {None, etag}:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:  # so many bytes from the end
        begin, stop = max(0, size - int(last)), size
    else:
        begin, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < begin:
            return None
    if begin >= stop:
        raise NotSatisfiable
    return Part(begin, stop)
