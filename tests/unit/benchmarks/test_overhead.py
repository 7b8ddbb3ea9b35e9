"""The overhead benchmark: shares from spans, and what they are made up of."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from benchmarks.overhead.results import Pair, Run, as_json, medians, table, targets

STEPS = 6


def run(seconds: Sequence[float], gaps: Sequence[float], *, processor: float = 10.0) -> Run:
    """A run whose steps take `seconds`; `gaps` are between them."""
    durations = [gap + step for gap, step in zip((0.0, *gaps), seconds, strict=True)]
    return Run(list(itertools.accumulate(durations, initial=100.0))[1:], list(seconds), [1.0], processor)


ALONE = run([5.0, *[2.0] * (STEPS - 1)], [0.0] * (STEPS - 1))


def test_a_span_begins_with_the_end_of_the_first_step() -> None:
    assert ALONE.span == 10.0


def test_overhead_is_made_up_of_its_parts() -> None:
    served = run([9.0, 2.1, 2.0, 2.4, 1.9, 2.0], [0.01, 0.01, 0.5, 0.01, 0.01], processor=11.0)
    pair = Pair(ALONE, served, checkpoints=[3])
    assert pair.overhead == pytest.approx(0.094)
    assert pair.at_checkpoints == pytest.approx(0.05)
    assert pair.at_records == pytest.approx(0.004)
    assert pair.after_checkpoints == pytest.approx(0.04)
    assert pair.elsewhere == pytest.approx(0.0)
    assert pair.processor == pytest.approx(0.1)
    parts = pair.at_checkpoints + pair.at_records + pair.after_checkpoints + pair.elsewhere
    assert parts == pytest.approx(pair.overhead)


@pytest.mark.parametrize(("seconds", "met"), [(2.03, True), (2.05, False)])
def test_the_median_pair_decides(seconds: float, met: bool) -> None:
    pairs = [
        Pair(ALONE, run([1.0, *[taken] * (STEPS - 1)], [0.0] * (STEPS - 1)), checkpoints=[2, 4])
        for taken in (1.9, seconds, 4.0)
    ]
    assert medians(pairs)["overhead"] == pytest.approx(seconds / 2 - 1)
    (target,) = targets(pairs)
    assert target.met is met
    assert as_json(pairs)["targets"] == [target.row()]
    assert f"{50 * seconds - 100:+.2f} %" in table(pairs)


def test_runs_of_other_losses_are_told() -> None:
    other = Run(ALONE.times, ALONE.seconds, [1.5], 10.0)
    assert not as_json([Pair(ALONE, other, checkpoints=[])])["same_losses"]
