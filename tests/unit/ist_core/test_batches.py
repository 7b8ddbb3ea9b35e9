"""Batches: order, padding, positions."""

import itertools

import torch

from ist_core.batches import collate, epoch_order, probe_choice
from ist_core.encoding import Example


def test_positions_predict_the_supervised_tokens() -> None:
    short = Example((5, 6, 7), (False, False, True), truncated=False)
    long = Example((1, 2, 3, 4), (False, True, False, True), truncated=False)
    batch = collate([short, long], pad=0, device=torch.device("cpu"))
    assert batch.tokens.tolist() == [[5, 6, 7, 0], [1, 2, 3, 4]]
    assert batch.mask.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
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
