"""Draws without replacement: frequencies as theory has them, and always an end."""

import itertools
import math

import torch

from ist_core.ist.sampler import LayerSampler
from ist_core.ist.scores import update_log_weights


def _inclusion(weights: list[float], count: int) -> list[float]:
    """The exact chance of each index in successive draws without replacement."""
    chances = [0.0] * len(weights)
    for order in itertools.permutations(range(len(weights)), count):
        chance, left = 1.0, sum(weights)
        for index in order:
            chance *= weights[index] / left
            left -= weights[index]
        for index in order:
            chances[index] += chance
    return chances


def test_inclusion_frequencies_match_theory() -> None:
    weights = [0.05, 0.1, 0.2, 0.4, 0.8]
    sampler, draws = LayerSampler(7), 20_000
    counts = [0] * len(weights)
    logs = torch.tensor(weights, dtype=torch.float64).log()
    for _ in range(draws):
        for index in sampler.draw(logs, 2):
            counts[index] += 1
    for count, chance in zip(counts, _inclusion(weights, 2), strict=True):
        # Four standard errors; the seed is fixed, so this never flickers.
        assert abs(count / draws - chance) < 4 * math.sqrt(chance * (1 - chance) / draws)


def test_extreme_scores_still_draw() -> None:
    scores = torch.tensor([-2000.0, -1000.0, 0.0], dtype=torch.float64)
    assert LayerSampler(0).draw(update_log_weights(scores, floor=0.0), 2) == (1, 2)


def test_the_floor_keeps_every_layer_alive() -> None:
    scores = torch.tensor([-1000.0] + [0.0] * 9, dtype=torch.float64)
    logs = update_log_weights(scores, floor=0.1)
    torch.testing.assert_close(logs.exp().sum().item(), 1.0)
    torch.testing.assert_close(logs[0].exp().item(), 0.01)


def test_distinct_draws_always_end() -> None:
    even = torch.zeros(3, dtype=torch.float64)
    assert sorted(LayerSampler(0).draw_distinct(even, 1, 10)) == [(0,), (1,), (2,)]
    hopeless = torch.tensor([0.0, -1e6, -1e6], dtype=torch.float64)
    assert LayerSampler(0).draw_distinct(hopeless, 1, 3) == [(0,)]


def test_the_state_continues_the_same_draws_and_the_global_one_is_untouched() -> None:
    even = torch.zeros(12, dtype=torch.float64)
    sampler, copy = LayerSampler(5), LayerSampler(99)
    before = torch.random.get_rng_state()
    sampler.draw(even, 3)
    copy.load_state_dict(sampler.state_dict())
    assert [sampler.draw(even, 3) for _ in range(5)] == [copy.draw(even, 3) for _ in range(5)]
    assert torch.equal(before, torch.random.get_rng_state())
