"""Numbers as a person reads them."""

import math

import pytest
from isthmus.cli.view.figures import duration_text, number_text, ranges_text, size_text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (123_456, "123 KB"),
        (1_400_000, "1.4 MB"),
        (5e15, "5,000 TB"),
    ],
)
def test_sizes(count: float, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0:00"),
        (42, "0:42"),
        (725, "12:05"),
        (11_525, "3:12:05"),
        (2 * 86400 + 3 * 3600 + 720, "2d 03:12"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("numbers", "text"), [([], "none"), ([3], "3"), ([0, 1, 2, 5], "0-2, 5"), ([1, 3, 4], "1, 3-4")]
)
def test_ranges(numbers: list[int], text: str) -> None:
    assert ranges_text(numbers) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (math.nan, "-"), (math.inf, "-"), (1.23456, "1.2346")]
)
def test_figures_that_are_missing(value: float | None, text: str) -> None:
    assert number_text(value) == text
