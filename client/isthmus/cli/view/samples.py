"""Samples for people: what was asked and expected, both answers, and what they are worth."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from isthmus.cli.view.tables import table
from isthmus.types.jobs import Sample, SampleScore

MOST_CHARACTERS = 200
"""Of a text."""


def sample_table(samples: Sequence[Sample]) -> Table:
    """A sample a line, with a column for each score."""
    names = list(dict.fromkeys(name for sample in samples for name in sample.scores))
    headings = ("ROW", "INPUT", "EXPECTED", "BASE", "TUNED", *(name.upper() for name in names))
    rows = (
        (
            sample.row,
            _short(sample.input[-1].content if sample.input else ""),
            *map(_short, (sample.expected, sample.base, sample.tuned)),
            *(score_text(sample.scores.get(name)) for name in names),
        )
        for sample in samples
    )
    return table(headings, rows, right=("ROW",))


def score_text(score: SampleScore | None) -> str:
    """`0 -> 1`: what the base model's answer is worth, and the tuned one's."""
    return "" if score is None else f"{worth_text(score.base)} -> {worth_text(score.tuned)}"


def worth_text(value: float | None) -> str:
    """A score, `-` for one that does not go with the row."""
    return "-" if value is None else f"{value:.3g}"


def _short(text: str) -> str:
    """A text in one line."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 3]}..."
