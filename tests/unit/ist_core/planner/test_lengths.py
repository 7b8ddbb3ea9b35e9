"""Rows' lengths, and the micro-batches they make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ist_core.batches import epoch_order
from ist_core.planner.lengths import Lengths, MicroBatch, held_out

ROWS = [(10, 4), (30, 20), (20, 5), (30, 10), (25, 12)]


def test_the_worst_micro_batch_holds_the_longest_rows() -> None:
    lengths = Lengths.counted(ROWS)
    assert lengths.worst(2) == MicroBatch(2, 30, 30, padded=False)
    assert lengths.worst(3) == MicroBatch(3, 30, 42, padded=True)
    assert lengths.worst(1) == MicroBatch(1, 30, 20, padded=False)
    assert lengths.worst(9) == MicroBatch(5, 30, 51, padded=True)


def test_cut_rows_lose_what_is_learnt_at_their_end() -> None:
    lengths = Lengths.counted(ROWS).cut(20)
    assert dict(lengths.counts) == {(10, 4): 1, (20, 10): 1, (20, 5): 1, (20, 1): 1, (20, 7): 1}
    assert (lengths.longest, lengths.tokens, lengths.learnt) == (20, 18, 5.4)


def test_a_sample_stands_for_all_rows() -> None:
    lengths = Lengths(rows=40, counts={(30, 10): 1, (20, 5): 3}, known="counted")
    assert lengths.worst(16) == MicroBatch(16, 30, 10 * 10 + 6 * 5, padded=True)


def test_a_longer_rank_takes_shorter_rows() -> None:
    lengths = Lengths.counted(ROWS)
    assert lengths.worst(2, rank=2) == MicroBatch(2, 25, 17, padded=True)
    assert lengths.worst(2, rank=9) == MicroBatch(2, 20, 9, padded=True), "the shortest there is"
    assert lengths.worst(1, rank=2).length == 30


def test_rows_that_are_all_alike_are_not_padded() -> None:
    assert not Lengths.counted([(7, 2)] * 9).mean(4).padded
    assert Lengths.counted(ROWS).mean(4).padded


@given(st.integers(1, 400), st.integers(0, 2**30))
def test_estimated_lengths_come_to_the_files_size(rows: int, size: int) -> None:
    lengths = Lengths.estimated(rows, size)
    assert (lengths.rows, sum(lengths.counts.values()), lengths.known) == (rows, rows, "estimated")
    assert max(2.0, size / rows / 3) <= lengths.tokens <= max(2.0, size / rows / 3) + 1
    assert lengths.longest >= lengths.tokens
    assert all(1 <= learnt <= tokens for tokens, learnt in lengths.counts)


def test_counted_rows_of_one_length_share_their_learnt_tokens() -> None:
    lengths = Lengths.sampled(30, [(10, 4, 1), (10, 6, 3), (20, 9, 2)])
    assert dict(lengths.counts) == {(10, 6): 4, (20, 9): 2}
    assert lengths.rows == 30
    assert lengths.tokens == pytest.approx(80 / 6)


def test_unknown_lengths_are_the_limit() -> None:
    lengths = Lengths.at_limit(100, 64)
    assert lengths.worst(8) == MicroBatch(8, 64, 8 * 32, padded=True)
    assert lengths.cut(16).longest == 16


@given(
    st.lists(st.tuples(st.integers(2, 60), st.integers(1, 60)), min_size=1, max_size=80),
    st.integers(1, 9),
)
def test_no_batch_is_longer_than_the_worst(rows: list[tuple[int, int]], size: int) -> None:
    rows = [(tokens, min(learnt, tokens - 1)) for tokens, learnt in rows]
    worst = Lengths.counted(rows).worst(size)
    for batch in epoch_order([tokens for tokens, _ in rows], batch_size=size, seed=1, epoch=0):
        assert len(batch) <= worst.rows
        assert max(rows[index][0] for index in batch) <= worst.length


@pytest.mark.parametrize(
    ("rows", "probed", "validation", "expected"),
    [
        (100, False, 7, (100, 0)),
        (100, True, 7, (100, 7)),
        (100, True, None, (95, 5)),
        (10, True, None, (9, 1)),
        (1, True, None, (1, 1)),
        (5000, True, None, (4936, 64)),
    ],
)
def test_held_out_rows(rows: int, probed: bool, validation: int | None, expected: tuple[int, int]) -> None:
    assert held_out(rows, probed=probed, validation_rows=validation) == expected
