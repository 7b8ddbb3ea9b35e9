"""Draws without replacement: frequencies as theory has them, and always an end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from ist_core.ist.inclusion import multinomial_inclusion, uniform_inclusion
from ist_core.ist.sampler import LayerSampler
from ist_core.ist.scores import update_log_weights

WEIGHTS = [0.05, 0.1, 0.2, 0.4, 0.8]
DRAWS = 20_000


def _successive(weights: Sequence[float], count: int) -> list[float]:
    """The exact chance of each index in successive draws without replacement, by every order of draws."""
    chances = [0.0] * len(weights)
    for order in itertools.permutations(range(len(weights)), count):
        chance, left = 1.0, sum(weights)
        for index in order:
            chance *= weights[index] / left
            left -= weights[index]
        for index in order:
            chances[index] += chance
    return chances


def _largest_uniforms(bounds: Sequence[float], count: int) -> list[float]:
    """The exact chance of each index to be among the largest of U(0, b), by exact integration of polynomials.

    Over every set S of others that may be larger: integral of 1 / b_i * prod_S (1 - x / b_j)+ * prod_rest
    min(x / b_j, 1), piece by piece between the bounds, in fractions.
    """
    exact = [Fraction(bound) for bound in bounds]
    edges = [Fraction(0), *sorted(exact)]
    chances = []
    for index, own in enumerate(exact):
        others = [bound for at, bound in enumerate(exact) if at != index]
        total = Fraction(0)
        for size in range(count):
            for larger in itertools.combinations(range(len(others)), size):
                for low, high in itertools.pairwise(edge for edge in edges if edge <= own):
                    total += _piece(others, set(larger), low, high) / own
        chances.append(float(total))
    return chances


def _piece(others: list[Fraction], larger: set[int], low: Fraction, high: Fraction) -> Fraction:
    polynomial = [Fraction(1)]
    for at, bound in enumerate(others):
        if at in larger:
            if high > bound:
                return Fraction(0)
            factor = [Fraction(1), -1 / bound]
        else:
            factor = [Fraction(0), 1 / bound] if high <= bound else [Fraction(1), Fraction(0)]
        polynomial = [
            a + b
            for a, b in zip(
                [*(c * factor[0] for c in polynomial), Fraction(0)],
                [Fraction(0), *(c * factor[1] for c in polynomial)],
                strict=True,
            )
        ]
    powers = range(1, len(polynomial) + 1)
    return sum((c / k * (high**k - low**k) for k, c in zip(powers, polynomial, strict=True)), Fraction(0))


def _frequencies(draw: Callable[[], tuple[int, ...]]) -> list[float]:
    counts = [0] * len(WEIGHTS)
    for _ in range(DRAWS):
        for index in draw():
            counts[index] += 1
    return [count / DRAWS for count in counts]


def _close(found: Sequence[float], expected: Sequence[float]) -> bool:
    """Within four standard errors; the seed is fixed, so this never flickers."""
    return all(
        abs(value - chance) < 4 * math.sqrt(chance * (1 - chance) / DRAWS)
        for value, chance in zip(found, expected, strict=True)
    )


def test_both_readings_are_drawn_as_theory_has_them() -> None:
    weights, sampler = torch.tensor(WEIGHTS, dtype=torch.float64), LayerSampler(7)
    multinomial = _frequencies(lambda: sampler.draw(weights.log(), 2))
    uniform = _frequencies(lambda: sampler.draw_largest(weights, 2))
    assert _close(multinomial, _successive(WEIGHTS, 2))
    assert _close(uniform, _largest_uniforms(WEIGHTS, 2))
    # The two readings are different distributions, and the test can tell them apart.
    assert not _close(multinomial, _largest_uniforms(WEIGHTS, 2))


def test_the_notes_example_of_both_readings() -> None:
    """Late-heavy weights over 32 layers, 8 drawn: the readings' extreme chances differ by far (notes, 1)."""
    weights = torch.linspace(0.27, 0.73, 32, dtype=torch.float64)
    multinomial, uniform = multinomial_inclusion(weights.log(), 8), uniform_inclusion(weights, 8)
    assert (multinomial.min().item(), multinomial.max().item()) == pytest.approx((0.14, 0.35), abs=0.01)
    assert (uniform.min().item(), uniform.max().item()) == pytest.approx((0.0006, 0.51), abs=0.01)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("inclusion", "exact"),
    [
        (lambda weights, count: multinomial_inclusion(weights.log(), count), _successive),
        (uniform_inclusion, _largest_uniforms),
    ],
)
def test_inclusion_probabilities_are_exact(
    inclusion: Callable[[Tensor, int], Tensor],
    exact: Callable[[Sequence[float], int], list[float]],
    count: int,
) -> None:
    for weights in (WEIGHTS, [0.5, 0.5, 0.5, 0.25], [1e-6, 0.3, 0.9], [0.5] * 5):
        if count <= len(weights):
            found = inclusion(torch.tensor(weights, dtype=torch.float64), count)
            torch.testing.assert_close(
                found, torch.tensor(exact(weights, count), dtype=torch.float64), atol=1e-9, rtol=0.0
            )


def test_probabilities_of_many_layers_add_up() -> None:
    scores = torch.randn(80, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for found in (multinomial_inclusion(scores, 20), uniform_inclusion(torch.sigmoid(scores), 20)):
        assert found.sum().item() == pytest.approx(20, abs=1e-9)
        assert found.min() > 0
        assert found.max() <= 1


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
