"""What is wrong with an input, for the person who gave it: a stable code, the line or field, the remedy."""

from __future__ import annotations

from dataclasses import dataclass


class InputFault(Exception):
    """Something a user can mend; `code` is stable, `param` names the field it is about (or None)."""

    code = "engine_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a data file."""

    line: int | None
    """Counts from 1; None: the file as a whole."""
    path: str
    """Where inside the line, such as `messages[2].role`; empty: the line as a whole."""
    reason: str
    """What is wrong and how to mend it."""

    def __str__(self) -> str:
        """`line 3, messages[2].role: what is wrong and how to mend it`."""
        where = ", ".join(part for part in (f"line {self.line}" if self.line else "", self.path) if part)
        return f"{where}: {self.reason}" if where else self.reason


class DatasetError(InputFault):
    """A data file that cannot be used; `problems` are its first faults, `total` says how many there are."""

    code = "invalid_dataset"

    def __init__(
        self, problems: list[Problem], *, total: int | None = None, param: str | None = "training_file"
    ) -> None:
        self.problems = tuple(problems)
        self.total = len(problems) if total is None else total
        self.line = problems[0].line
        rest = f" (and {self.total - 1} more)" if self.total > 1 else ""
        super().__init__(f"{problems[0]}{rest}", param=param)
