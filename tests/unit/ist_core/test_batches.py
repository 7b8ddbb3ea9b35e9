"""Batches: order, padding, positions."""

import itertools

import pytest
import torch

from ist_core.batches import collate, epoch_order, needs_few_widths, probe_choice
from ist_core.encoding import Example
from ist_core.widths import rounded_width


def test_positions_predict_the_supervised_tokens() -> None:
    short = Example((5, 6, 7), (False, False, True), truncated=False)
    long = Example((1, 2, 3, 4), (False, True, False, True), truncated=False)
    batch = collate([short, long], pad=0, device=torch.device("cpu"))
    assert batch.tokens.tolist() == [[5, 6, 7, 0], [1, 2, 3, 4]]
    assert batch.targets.tolist() == [7, 2, 4]
    assert batch.tokens.flatten()[batch.positions].tolist() == [6, 1, 3]
    assert batch.size == 7


def test_an_epoch_holds_each_example_once_in_a_seeded_order() -> None:
    lengths = [(7 * index) % 50 for index in range(101)]
    order = epoch_order(lengths, batch_size=4, seed=3, epoch=0)
    assert sorted(index for batch in order for index in batch) == list(range(101))
    assert len(order) == 26
    assert order == epoch_order(lengths, batch_size=4, seed=3, epoch=0)
    orders = [epoch_order(lengths, batch_size=4, seed=3, epoch=epoch) for epoch in range(8)]
    assert all(one != two for one, two in itertools.combinations(orders, 2))
    assert order != epoch_order(lengths, batch_size=4, seed=4, epoch=0)


def test_similar_lengths_share_a_batch() -> None:
    lengths = [(7 * index) % 50 for index in range(400)]
    order = epoch_order(lengths, batch_size=8, seed=0, epoch=0)
    padding = sum(max(lengths[i] for i in batch) - lengths[j] for batch in order for j in batch)
    assert padding < 0.2 * sum(lengths)  # 0.8 in a random order


def test_a_probe_takes_a_new_choice_each_time() -> None:
    choice = probe_choice(40, size=16, seed=1, number=10)
    assert len(set(choice)) == 16
    assert choice == probe_choice(40, size=16, seed=1, number=10)
    choices = [probe_choice(40, size=16, seed=1, number=number) for number in range(9)]
    assert all(one != two for one, two in itertools.combinations(choices, 2))
    assert probe_choice(3, size=16, seed=1, number=10) == [0, 1, 2]


def test_few_widths_are_eight_an_octave_and_at_most_an_eighth_longer() -> None:
    widths = {rounded_width(length) for length in range(64, 129)}
    assert widths == {64, 72, 80, 88, 96, 104, 112, 120, 128}
    assert all(length <= rounded_width(length) <= 1.125 * length for length in range(1, 3000))


def test_a_batch_of_few_widths_learns_the_same() -> None:
    row = Example(tuple(range(1, 20)), (False,) * 9 + (True,) * 10, truncated=False)
    exact, wide = (collate([row], pad=0, device=torch.device("cpu"), few_widths=few) for few in (False, True))
    assert (exact.tokens.shape, wide.tokens.shape) == ((1, 19), (1, 20))
    assert wide.targets.tolist() == exact.targets.tolist()
    assert (wide.size, wide.weight) == (exact.size, exact.weight)


@pytest.mark.parametrize(("dtype", "needed"), [(torch.bfloat16, True), (torch.float32, False)])
def test_only_bfloat16_on_the_cpu_needs_few_widths(dtype: torch.dtype, needed: bool) -> None:
    assert needs_few_widths(torch.device("cpu"), dtype) is needed
    assert not needs_few_widths(torch.device("cuda"), dtype)
