"""Draws tokens: from each row's logits by its own temperature, top_p and source of chance.

    p = softmax(logits / temperature),  a token is the first whose cumulated p is above u * sum(p)

u: uniform in [0, 1), one number a token, from a generator that only this choice draws from; so what else is
in the batch changes nothing here. With top_p, p holds only the likeliest tokens that together reach it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

_LIKELIEST = 256
"""How many tokens are looked at first for top_p: sorting a whole vocabulary takes milliseconds."""


class Sampler:
    """How one choice draws its tokens."""

    def __init__(self, *, temperature: float, top_p: float, seed: int | None, index: int) -> None:
        self.temperature = temperature
        self.top_p = top_p
        # A string is hashed whole: neighbouring seeds and choices have nothing in common.
        key = None if seed is None else f"{seed}/{index}"
        self._random = random.Random(key)  # noqa: S311  # no secret

    def draw(self, logits: Tensor) -> int:
        """Return a token by its logits, shape (vocabulary,), with `temperature` above 0."""
        # In float64, because a cumulated sum over a vocabulary would lose the rare tokens; below 0 at first,
        # because a small temperature would make numbers that are too large.
        chances = torch.softmax((logits - logits.max()).double() / self.temperature, dim=-1)
        if self.top_p >= 1:
            return self._pick(chances)
        chances, tokens = _nucleus(chances, self.top_p)
        return int(tokens[self._pick(chances)])

    def _pick(self, chances: Tensor) -> int:
        sums = chances.cumsum(dim=-1)
        at = torch.searchsorted(sums, sums[-1] * self._random.random(), right=True)
        return min(int(at), len(chances) - 1)


def next_tokens(logits: Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """Return one token a row of `logits`, shape (rows, vocabulary)."""
    likeliest: list[int] = logits.argmax(dim=-1).tolist()
    return [
        token if sampler.temperature == 0 else sampler.draw(row)
        for token, row, sampler in zip(likeliest, logits, samplers, strict=True)
    ]


def _nucleus(chances: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Return the fewest likeliest chances that together reach `top_p`, in falling order, and their tokens."""
    values, tokens = chances.topk(min(_LIKELIEST, len(chances)))
    if float(values.sum()) < top_p:
        values, tokens = chances.sort(descending=True)
    needed = int((values.cumsum(dim=-1) < top_p).sum()) + 1
    return values[:needed], tokens[:needed]
