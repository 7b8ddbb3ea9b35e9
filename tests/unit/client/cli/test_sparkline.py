"""A series in one line."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.cli.view.sparkline import ASCII_BLOCKS, BLOCKS, Series, sparkline

FINITE = st.floats(min_value=-1e6, max_value=1e6)


def test_goes_from_the_lowest_to_the_highest_block() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == BLOCKS
    assert sparkline([7, 0], 8, ascii_only=True) == ASCII_BLOCKS[-1] + ASCII_BLOCKS[0]


def test_more_values_than_room_are_averaged() -> None:
    assert sparkline([0, 2, 9, 11], 2) == BLOCKS[0] + BLOCKS[-1]
    assert sparkline([3, 3, 3], 2) == BLOCKS[3] * 2


@pytest.mark.parametrize(("values", "width"), [([], 10), ([1.0], 0), ([1.0], -3)])
def test_nothing_to_draw_or_no_room_is_empty(values: list[float], width: int) -> None:
    assert sparkline(values, width) == ""


@given(st.lists(FINITE, min_size=1, max_size=300), st.integers(1, 100))
def test_is_never_wider_than_the_room(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    assert set(line) <= set(BLOCKS)


@given(st.lists(FINITE, min_size=1, max_size=500), st.integers(2, 16))
def test_a_series_is_bounded_and_keeps_mean_last_and_lowest(values: list[float], most: int) -> None:
    series = Series(most=most)
    for value in values:
        series.add(value)
    points = series.points()
    assert 1 <= len(points) <= most + 1
    assert series.last == values[-1]
    assert series.low == min(values)
    assert min(values) - 1e-6 <= min(points) <= max(points) <= max(values) + 1e-6


def test_what_is_missing_or_not_finite_is_left_out() -> None:
    series = Series()
    for value in (None, math.nan, math.inf):
        series.add(value)
    assert (series.points(), series.last, series.low) == ([], None, None)
