"""Drawing tokens: by their chances, from one's own source of chance."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor

from ist_core.inference.sampling import Sampler, next_tokens

CHANCES = torch.tensor([0.05, 0.4, 0.0, 0.3, 0.25])


def sampler(*, temperature: float = 1.0, top_p: float = 1.0, seed: int | None = 0, index: int = 0) -> Sampler:
    return Sampler(temperature=temperature, top_p=top_p, seed=seed, index=index)


def draws(sampler: Sampler, logits: Tensor, count: int = 2000) -> dict[int, float]:
    """Return how often each token came, as a share."""
    found = Counter(sampler.draw(logits) for _ in range(count))
    return {token: times / count for token, times in found.items()}


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_tokens_come_as_often_as_their_chances_say(temperature: float) -> None:
    chances = CHANCES ** (1 / temperature)
    chances /= chances.sum()
    found = draws(sampler(temperature=temperature), CHANCES.log())
    assert found == pytest.approx(
        {token: float(chance) for token, chance in enumerate(chances) if chance > 0}, abs=0.04
    )


@pytest.mark.parametrize(
    ("top_p", "left"), [(0.01, {1}), (0.4, {1}), (0.41, {1, 3}), (0.75, {1, 3, 4}), (0.99, {0, 1, 3, 4})]
)
def test_top_p_leaves_the_fewest_likeliest_tokens_that_reach_it(top_p: float, left: set[int]) -> None:
    found = draws(sampler(top_p=top_p), CHANCES.log())
    assert set(found) == left
    total = float(CHANCES[list(left)].sum())
    assert found == pytest.approx({token: float(CHANCES[token]) / total for token in left}, abs=0.04)


def test_top_p_over_a_flat_large_vocabulary_looks_at_all_of_it() -> None:
    found = draws(sampler(top_p=0.9), torch.zeros(1000), count=5000)
    assert 850 < len(found) <= 900


def test_temperature_0_is_the_likeliest_token_and_so_is_nearly_0() -> None:
    logits = 1e4 * torch.tensor([[1.0, 3.0, 2.0]])
    assert next_tokens(logits, [sampler(temperature=0.0)]) == [1]
    assert next_tokens(logits, [sampler(temperature=1e-300)]) == [1]


def test_a_seed_draws_the_same_tokens_again_and_each_choice_its_own() -> None:
    def ten(seed: int | None, index: int = 0) -> list[int]:
        drawer = sampler(seed=seed, index=index)
        return [drawer.draw(torch.zeros(1000)) for _ in range(10)]

    assert ten(7) == ten(7)
    assert len({tuple(ten(*key)) for key in [(7, 0), (7, 1), (8, 0), (-7, 0), (None, 0), (None, 0)]}) == 6


def test_rows_draw_from_their_own_logits_and_chance() -> None:
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    alone = sampler(seed=5)
    expected = [alone.draw(logits[1]) for _ in range(5)]
    samplers = [sampler(seed=1), sampler(seed=5), sampler(temperature=0.0)]
    found = [next_tokens(logits, samplers) for _ in range(5)]
    assert [tokens[1] for tokens in found] == expected
    assert {tokens[2] for tokens in found} == {int(logits[2].argmax())}
