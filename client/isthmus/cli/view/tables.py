"""Lists and single objects as tables without lines: columns that a pipe can cut, fields below each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

STYLES: Mapping[str, str] = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "paused": "yellow",
    "pausing": "yellow",
    "cancelling": "yellow",
}
"""Of a job's states; the others are plain."""


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> Table:
    """A list; None is left empty, columns named in `right` hold figures."""
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for heading in headings:
        made.add_column(
            heading,
            justify="right" if heading in right else "left",
            overflow="fold",
            no_wrap=heading in ("ID", *right),
        )
    for row in rows:
        made.add_row(*("" if cell is None else str(cell) for cell in row))
    return made


def fields(pairs: Mapping[str, object]) -> Table:
    """One object, a field a line; those that are None or empty are left out."""
    made = Table(box=None, pad_edge=False, show_header=False, show_edge=False)
    made.add_column(style="bright_black", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        if value is not None and value != "":
            made.add_row(name, str(value))
    return made
