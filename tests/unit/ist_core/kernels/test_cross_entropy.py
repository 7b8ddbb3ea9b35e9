"""Cross entropy by chunks equals the plain one, and keeps one gradient of the states."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from ist_core.kernels.cross_entropy import linear_cross_entropy

TOKENS, HIDDEN, WORDS = 37, 16, 50


def _problem(dtype: torch.dtype, *, biased: bool = False) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(TOKENS, HIDDEN, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(WORDS, HIDDEN, generator=generator).to(dtype)
    bias = torch.randn(WORDS, generator=generator).to(dtype) if biased else None
    targets = linear(states.detach(), weight, bias).argmax(-1)
    targets[::3] = torch.randint(0, WORDS, targets[::3].shape, generator=generator)
    return states, weight, bias, targets


def _gradient(loss: Tensor, states: Tensor) -> Tensor:
    # As a step has it, which takes the mean of several batches.
    (found,) = torch.autograd.grad(loss / 11, states)
    return found


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("chunk", [1, 8, TOKENS, 64])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)], ids=str)
def test_it_equals_the_plain_one(dtype: torch.dtype, close: float, chunk: int, biased: bool) -> None:
    states, weight, bias, targets = _problem(dtype, biased=biased)
    logits = linear(states, weight, bias)
    plain = cross_entropy(logits.float(), targets, reduction="sum")
    expected = _gradient(plain, states)
    loss, right = linear_cross_entropy(states, weight, bias, targets, chunk=chunk)
    torch.testing.assert_close(loss, plain, rtol=close / 4, atol=0)
    assert loss.dtype == torch.float32
    assert int(right) == int((logits.argmax(-1) == targets).sum()) > 0
    found = _gradient(loss, states)
    assert found.dtype == dtype
    assert (found - expected).norm() <= close * expected.norm()


def test_of_words_that_are_equally_likely_the_first_counts() -> None:
    states, weight = torch.ones(3, HIDDEN), torch.ones(WORDS, HIDDEN)
    _, right = linear_cross_entropy(states, weight, None, torch.tensor([0, 1, 0]))
    assert int(right) == 2


def test_it_keeps_one_gradient_of_the_states() -> None:
    states, weight, _, targets = _problem(torch.float32)
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        linear_cross_entropy(states, weight, None, targets, chunk=8)
    assert [tensor.shape for tensor in kept] == [states.shape]


def test_without_a_gradient_none_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    products = 0

    def counted(left: Tensor, right: Tensor) -> Tensor:
        nonlocal products
        products += 1
        return left @ right

    monkeypatch.setattr("ist_core.kernels.cross_entropy.product", counted)
    states, weight, _, targets = _problem(torch.float32)
    with torch.no_grad():
        alone, _ = linear_cross_entropy(states, weight, None, targets)
    assert products == 1
    loss, _ = linear_cross_entropy(states, weight, None, targets)
    assert products == 3
    assert torch.equal(alone, loss.detach())
