"""The service's check of a data file, run here: before anything is sent."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.cli.exits import UsageFault
from isthmus.cli.metered import metered
from isthmus.cli.terminal import Terminal
from isthmus.dataset.formats import FORMATS_OF_METHOD, DatasetSummary, check
from isthmus.dataset.problems import DatasetError, Problem


@dataclass(frozen=True)
class Checked:
    """What the check of a file found: a summary, or its faults."""

    path: Path
    summary: DatasetSummary | None
    faults: tuple[Problem, ...] = ()
    total_faults: int = 0

    @property
    def ok(self) -> bool:
        """Whether the service would take the file."""
        return self.summary is not None

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        summary = self.summary
        return {
            "path": str(self.path),
            "ok": self.ok,
            "rows": summary.rows if summary else None,
            "format": summary.format if summary else None,
            "container": summary.container if summary else None,
            "methods": methods_of(summary) if summary else [],
            "duplicates": summary.duplicates if summary else None,
            "faults": [_document(fault) for fault in self.faults],
            "total_faults": self.total_faults,
            "warnings": [_document(warning) for warning in summary.warnings] if summary else [],
            "total_warnings": summary.total_warnings if summary else 0,
        }

    def show(self, terminal: Terminal) -> None:
        """Every finding in a line of its own, `PATH:LINE: where: what and how to mend it`."""
        for fault in self.faults:
            _line(terminal, self.path, "error", fault, "red")
        for warning in self.summary.warnings if self.summary else ():
            _line(terminal, self.path, "warning", warning, "yellow")
        terminal.out.print(self._verdict(), soft_wrap=True)

    def _verdict(self) -> str:
        summary = self.summary
        if summary is None:
            unseen = self.total_faults - len(self.faults)
            rest = f"; {unseen:,} of them not shown (--limit 0 shows all)" if unseen else ""
            return f"{self.path}: {_count(self.total_faults, 'fault')}{rest}"
        found = [
            _count(summary.rows, "row"),
            f"format {summary.format} (for method {' or '.join(methods_of(summary))})",
            summary.container,
            _count(summary.total_warnings, "warning"),
        ]
        if summary.duplicates:
            found.append(_count(summary.duplicates, "repeated row"))
        unseen = summary.total_warnings - len(summary.warnings)
        if unseen:
            found.append(f"{unseen:,} warnings not shown (--limit 0 shows all)")
        return f"{self.path}: ok: {', '.join(found)}"


def check_file(path: Path, terminal: Terminal, *, limit: int) -> Checked:
    """Check a file as the service does; at most `limit` findings of a kind are kept, 0: all.

    Raises UsageFault for a path that is no file that can be read.
    """
    if not path.is_file():
        raise UsageFault(f"{path} is no file; give the path of a data file")
    try:
        with metered(path, f"checking {path.name}", terminal) as stream:
            return Checked(path, check(stream, name=path.name, max_problems=limit or sys.maxsize))
    except DatasetError as error:
        return Checked(path, None, error.problems, error.total)
    except OSError as error:
        raise UsageFault(f"{path} cannot be read: {error.strerror}") from error


def methods_of(summary: DatasetSummary) -> list[str]:
    """The methods that learn from a file's format."""
    return [
        method
        for method, formats in FORMATS_OF_METHOD.items()
        if summary.format in (known.name for known in formats)
    ]


def _document(problem: Problem) -> dict[str, Any]:
    return {"line": problem.line, "path": problem.path, "reason": problem.reason}


def _line(terminal: Terminal, path: Path, kind: str, problem: Problem, style: str) -> None:
    place = f"{path}:{problem.line}" if problem.line else str(path)
    where = f"{problem.path}: " if problem.path else ""
    terminal.out.print(f"{place}: {kind}: {where}{problem.reason}", style=style, soft_wrap=True)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
