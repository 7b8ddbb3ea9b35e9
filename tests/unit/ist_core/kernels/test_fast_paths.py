"""Losses and gradients by the fast paths equal those of the plain modules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn

from benchmarks.ist_matrix.models import quiet
from ist_core.adapters import add_adapters
from ist_core.ist import adapter_layers, decoder_layers
from ist_core.ist.suppression import suppressed
from ist_core.kernels import FastPaths
from ist_core.kernels.attention import PaddedRows, rotary_attention
from ist_core.kernels.recompute import Recompute
from ist_core.spec import LoraSpec
from tests.unit.ist_core.planner.models import make_model

ROWS, LENGTH = 3, 24
TOKENS = torch.randint(3, 60, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0))
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"attention_bias": True, "mlp_bias": True},
    "mistral": {},
    "qwen2": {},
    "gemma": {},
    "gpt_neox": {},
}
"""Three whose layers are known, and two of which only linear modules are changed."""
CLOSE = 1e-4


def adapted(family: str, dtype: torch.dtype = torch.float32, **adapter: Any) -> PeftModel:
    base, _ = make_model(family, dtype, **FAMILIES[family])
    model = add_adapters(base, LoraSpec(rank=4, **adapter), seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name or name.endswith("bias"):
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    return model


def trained_by(model: PeftModel, chosen: Sequence[int]) -> None:
    for index, layer in enumerate(adapter_layers(model)):
        for weight in layer.parameters:
            weight.requires_grad_(index in chosen)


def outcome(model: PeftModel, **inputs: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss on the tokens, and all gradients."""
    with quiet():
        logits = model(input_ids=TOKENS, use_cache=False, **inputs).logits.float()
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), TOKENS[:, 1:].flatten())
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
    found = {
        name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None
    }
    model.zero_grad(set_to_none=True)
    return loss.detach(), found


def check_equal(
    ours: tuple[Tensor, dict[str, Tensor]], plain: tuple[Tensor, dict[str, Tensor]], close: float = CLOSE
) -> None:
    torch.testing.assert_close(ours[0], plain[0], rtol=close, atol=close)
    assert ours[1].keys() == plain[1].keys()
    assert plain[1]
    for name, gradient in plain[1].items():
        assert (ours[1][name] - gradient).norm() <= close * gradient.norm(), name


@pytest.mark.parametrize("family", FAMILIES)
def test_all_layers(family: str) -> None:
    model = adapted(family)
    plain = outcome(model)
    paths = FastPaths(model)
    assert paths.changed
    check_equal(outcome(model), plain)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_no_further_from_float32(family: str) -> None:
    model = adapted(family, torch.bfloat16)
    plain = outcome(model)
    paths = FastPaths(model)
    ours = outcome(model)
    paths.release()
    exact = outcome(model.float())
    assert _distance(ours, exact) <= 1.5 * _distance(plain, exact)
    torch.testing.assert_close(ours[0], exact[0], rtol=0.01, atol=0.01)


def _distance(found: tuple[Tensor, dict[str, Tensor]], exact: tuple[Tensor, dict[str, Tensor]]) -> float:
    squares = [float((found[1][name] - gradient).square().sum()) for name, gradient in exact[1].items()]
    return math.sqrt(sum(squares))


@pytest.mark.parametrize("chosen", [(0,), (1,), (0, 2)])
def test_some_layers(chosen: tuple[int, ...]) -> None:
    model = adapted("llama")
    trained_by(model, chosen)
    plain = outcome(model)
    FastPaths(model)
    check_equal(outcome(model), plain)


@pytest.mark.parametrize(
    "targets", [("q_proj", "v_proj"), ("down_proj",), ("gate_proj",), ("o_proj", "up_proj")]
)
def test_some_modules(targets: tuple[str, ...]) -> None:
    model = adapted("llama", target_modules=targets)
    plain = outcome(model)
    FastPaths(model)
    check_equal(outcome(model), plain)


@pytest.mark.parametrize("adapter", [{"dora": True}, {"dropout": 0.5}, {"rslora": True}])
def test_other_adapters(adapter: dict[str, Any]) -> None:
    model = adapted("llama", **adapter).train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = outcome(model)
        FastPaths(model)
        torch.manual_seed(0)
        check_equal(outcome(model), plain)


def test_a_mask_is_heeded() -> None:
    """Padding on the left, as preference pairs have it."""
    model = adapted("llama")
    mask = torch.ones(ROWS, LENGTH, dtype=torch.long)
    mask[0, :7] = 0
    plain = outcome(model, attention_mask=mask)
    FastPaths(model)
    check_equal(outcome(model, attention_mask=mask), plain)


def test_suppression_and_switched_off_adapters() -> None:
    model = adapted("llama")
    layers = adapter_layers(model)
    plain = []
    for fast in (False, True):
        if fast:
            FastPaths(model)
        with torch.no_grad(), suppressed(layers[:2], 0.25):
            found = [model(input_ids=TOKENS).logits]
        with torch.no_grad(), model.disable_adapter():
            found.append(model(input_ids=TOKENS).logits)
        plain.append(found)
    torch.testing.assert_close(plain[1], plain[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain[0][0], plain[0][1])


def test_hooks_are_called() -> None:
    model = adapted("llama")
    FastPaths(model)
    seen = []
    modules = [module for module in adapter_layers(model)[0].modules if isinstance(module, nn.Module)]
    for module in modules:
        module.register_forward_hook(lambda *_: seen.append(1))
    outcome(model)
    assert len(seen) == len(modules) == 7


def test_generation_is_the_same() -> None:
    model = adapted("llama").eval()
    texts = []
    for fast in (False, True):
        if fast:
            FastPaths(model)
        with torch.no_grad():
            answer = model.generate(input_ids=TOKENS[:, :8], max_new_tokens=6, do_sample=False)  # type: ignore[no-untyped-call]  # peft has no types here
            texts.append(answer)
    assert torch.equal(texts[0], texts[1])


def test_release_gives_the_modules_back() -> None:
    model = adapted("llama")
    plain = outcome(model)
    FastPaths(model).release()
    assert not any("forward" in module.__dict__ for module in model.modules())
    again = outcome(model)
    assert all(torch.equal(again[1][name], gradient) for name, gradient in plain[1].items())


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("chosen", [(), (1,), (1, 2), (0, 1, 2)])
def test_computing_again_changes_nothing(fast: bool, chosen: tuple[int, ...]) -> None:
    model = adapted("llama")
    trained_by(model, (0, 2))
    if fast:
        FastPaths(model)
    plain = outcome(model)
    recompute = Recompute(decoder_layers(model)[1], random=False)
    recompute.choose(chosen)
    again = outcome(model)
    assert torch.equal(again[0], plain[0])
    assert all(torch.equal(again[1][name], gradient) for name, gradient in plain[1].items())


def test_computing_again_draws_the_same_numbers() -> None:
    model = adapted("llama", dropout=0.5).train()
    recompute = Recompute(decoder_layers(model)[1], random=True)
    found = []
    for chosen in ((), (0, 1, 2)):
        recompute.choose(chosen)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            found.append(outcome(model))
    check_equal(found[1], found[0], 1e-6)


def test_the_gradient_of_attention() -> None:
    """Against finite differences, in float64."""
    generator = torch.Generator().manual_seed(0)

    def draw(width: int) -> Tensor:
        return torch.randn(2, 5, width, generator=generator, dtype=torch.float64).requires_grad_()

    angles = torch.randn(1, 5, 2, generator=generator, dtype=torch.float64).repeat(1, 1, 2)

    def attention(*parts: Tensor) -> Tensor:
        q, k, v = parts
        cos, sin = angles.cos(), angles.sin()
        return rotary_attention(q, k, v, cos, sin, head_dim=4, layout=PaddedRows(2, 5))

    assert torch.autograd.gradcheck(attention, (draw(16), draw(8), draw(8)))
