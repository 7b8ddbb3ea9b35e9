"""What benchmarks show: a target and what came of it, and tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """What was aimed at, and what came of it; `value` None: it could not be measured."""

    name: str
    value: float | None
    target: str
    met: bool

    def row(self) -> dict[str, object]:
        """As JSON has it."""
        return {"name": self.name, "value": self.value, "target": self.target, "met": self.met}


def section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table below its title, the first column to the left; nothing where there are no rows."""
    if not rows:
        return ""
    lines = [(title, *head), *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
