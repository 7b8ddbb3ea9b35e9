"""The cache beside plain lists: rows that join, grow, are dropped and are moved keep their tokens."""

from __future__ import annotations

from itertools import count, islice

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from ist_core.inference import kv_cache
from ist_core.inference.kv_cache import KeyValueCache

LAYERS, HEADS, FEATURES = 2, 3, 4
Moves = list[tuple[str, int, int, int]]
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.integers(1, 40), st.integers(1, 3), st.integers(1, 60)),
        st.tuples(st.just("drop"), st.integers(0, 9), st.just(0), st.just(0)),
        st.tuples(st.just("write"), st.integers(1, 50), st.just(0), st.just(0)),
    ),
    max_size=25,
)


def states(tokens: list[list[float]], layer: int) -> Tensor:
    """Return states that tell token and layer, shape (rows, heads, tokens, features)."""
    values = torch.tensor(tokens)[:, None, :, None] + 1000 * layer
    return values.expand(-1, HEADS, -1, FEATURES)


def write(cache: KeyValueCache, tokens: list[list[float]]) -> list[tuple[Tensor, Tensor]]:
    """Append tokens to the rows of every layer; returns what a model would see."""
    seen = [cache.update(states(tokens, layer), -states(tokens, layer), layer) for layer in range(LAYERS)]
    cache.advance(len(tokens[0]))
    return seen


def check(cache: KeyValueCache, rows: list[list[float]], seen: list[tuple[Tensor, Tensor]]) -> None:
    width = max(map(len, rows))
    assert cache.lengths == [len(row) for row in rows]
    mask = cache.padding_mask(0)
    for layer, (keys, values) in enumerate(seen):
        assert keys.shape == values.shape == (len(rows), HEADS, width, FEATURES)
        assert keys.isfinite().all()
        for at, row in enumerate(rows):
            own = states([row], layer)[0]
            assert torch.equal(keys[at, :, width - len(row) :], own)
            assert torch.equal(values[at, :, width - len(row) :], -own)
            if mask is not None:
                assert mask[at].tolist() == [0] * (width - len(row)) + [1] * len(row)
    if mask is None:
        assert len(set(map(len, rows))) == 1


@pytest.fixture(autouse=True)
def _little_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cursor reach the last column often."""
    monkeypatch.setattr(kv_cache, "SLACK", 4)


@given(moves=MOVES)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_keep_their_tokens_whatever_the_others_do(moves: Moves) -> None:
    cache, rows, numbers = KeyValueCache(LAYERS), list[list[float]](), count()
    longest: list[int] = []  # what each row may come to

    def fresh(size: int) -> list[float]:
        return [float(token) for token in islice(numbers, size)]

    for move, size, copies, more in moves:
        if move == "join":
            prompt = fresh(size)
            filled = KeyValueCache(LAYERS, rows=1, columns=size)
            write(filled, [prompt])
            rows += [list(prompt) for _ in range(copies)]
            longest += [size + more] * copies
            cache.join(filled, copies, rows=len(rows) + 1, columns=max(longest))
        elif rows and move == "drop":
            at = size % len(rows)
            cache.drop(at)
            rows[at], longest[at] = rows[-1], longest[-1]
            rows.pop()
            longest.pop()
        elif rows:
            seen = []
            for _ in range(min(size, *(most - len(row) for row, most in zip(rows, longest, strict=True)))):
                cache.make_room()
                new = [fresh(1) for _ in rows]
                seen = write(cache, new)
                for row, token in zip(rows, new, strict=True):
                    row += token
            check(cache, rows, seen)


def join(cache: KeyValueCache, prompt: list[float]) -> None:
    filled = KeyValueCache(LAYERS, rows=1, columns=len(prompt))
    write(filled, [prompt])
    cache.join(filled, 1, rows=4, columns=16)


def test_what_a_row_leaves_behind_is_not_read_by_those_after_it() -> None:
    """Masked states are read with no weight, and no weight times infinity is no number."""
    cache, first = KeyValueCache(LAYERS), [1.0, 2.0, 3.0]
    join(cache, first)
    join(cache, [float("inf")] * 6)
    cache.drop(1)
    join(cache, [7.0])  # in its place, shorter than the other
    check(cache, [[*first, 4.0], [7.0, 8.0]], write(cache, [[4.0], [8.0]]))
    join(cache, [9.0] * 7)  # longer than all: columns from before are alive again
    rows = [[*first, 4.0, 5.0], [7.0, 8.0, 6.0], [9.0] * 8]
    check(cache, rows, write(cache, [[5.0], [6.0], [9.0]]))


def test_a_token_is_written_in_place() -> None:
    cache = KeyValueCache(LAYERS, rows=1, columns=50)
    first = write(cache, [[1.0]])
    second = write(cache, [[2.0]])
    assert first[0][0].data_ptr() == second[0][0].data_ptr()
