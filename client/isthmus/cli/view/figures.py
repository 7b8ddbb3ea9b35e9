"""Numbers as a person reads them: sizes, durations, times, layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

UNITS = ("B", "KB", "MB", "GB", "TB")
MINUTE, HOUR, DAY = 60, 3600, 86400


def size_text(count: float) -> str:
    """Bytes in the largest unit that leaves a number above 1: `1.4 MB`."""
    unit = 0
    while count >= 1000 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:,.0f} {UNITS[unit]}" if unit == 0 or count >= 100 else f"{count:.1f} {UNITS[unit]}"


def duration_text(seconds: float) -> str:
    """`0:42`, `12:05`, `3:12:05`, `2d 03:12`."""
    whole = max(0, round(seconds))
    days, rest = divmod(whole, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, left = divmod(rest, MINUTE)
    if days:
        return f"{days}d {hours:02d}:{minutes:02d}"
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def time_text(unix: float | None) -> str:
    """Local date and time to the minute; nothing for None."""
    return "" if unix is None else datetime.fromtimestamp(unix).astimezone().strftime("%Y-%m-%d %H:%M")


def clock_text(unix: float) -> str:
    """Local date and time to the second."""
    return datetime.fromtimestamp(unix).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def number_text(value: float | None, digits: int = 4) -> str:
    """A figure with so many decimals; `-` for what is missing or not finite."""
    return "-" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def ranges_text(numbers: Sequence[int]) -> str:
    """`[0, 1, 2, 5]` as `0-2, 5`; `none` for no number."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs) or "none"
