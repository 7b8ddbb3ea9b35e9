"""Gate gradients are what they claim: derivatives of the loss in a gate on a layer's response.

In float64, on a GPT-NeoX: it is smooth, and many families normalise in float32 whatever their type is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.ist_matrix.case import Case, perturb
from benchmarks.ist_matrix.models import make_batch
from ist_core.ist import AdapterLayer, BatchProbe, adapter_layers
from ist_core.ist.sampler import LayerSampler
from ist_core.ist.scorers import GateGradients
from ist_core.ist.suppression import gated, suppressed

FAMILY = "gpt_neox"
BETA = 0.25
BATCH = make_batch(1)
NOT_LINEAR = [
    "DoRA",
    "IA3",
    "LoHa",
    "OFT",
    "bottleneck, series",
    "bottleneck, parallel",
    "KaSA",
    "LoRA on parameters",
    "LoRA, norms in full",
]


# peft's FRoD multiplies by sparse matrices.
pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled:UserWarning")


def loss_of(model: nn.Module, ids: Tensor) -> Tensor:
    """In the model's own type; transformers' loss is float32."""
    logits: Tensor = model(input_ids=ids).logits
    return cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def make(method: str) -> tuple[PeftModel, tuple[AdapterLayer, ...]]:
    model = Case(method, FAMILY).make(dtype=torch.float64)
    perturb(model)
    model.eval()
    return model, adapter_layers(model)


def score(model: PeftModel, layers: tuple[AdapterLayer, ...], beta: float = BETA) -> tuple[Tensor, Tensor]:
    """Return the moved scores and the effects."""
    scorer = GateGradients(layers, beta=beta, rate=10.0)
    zeros = torch.zeros(len(layers), dtype=torch.float64)
    moved, report = scorer.score(zeros, BatchProbe(model, [BATCH], loss_of), 0, LayerSampler(0))
    return moved, torch.tensor(report.effects, dtype=torch.float64)


@contextmanager
def gates_on(layer: AdapterLayer, gate: float | Tensor) -> Iterator[None]:
    with ExitStack() as stack:
        for module in layer.adapted:
            stack.enter_context(gated(module, layer.adapters, gate))
        yield


def effects_of(gates: Tensor, loss: Tensor) -> Tensor:
    """By the equation of ist/scorers/gate.py."""
    return -(1.0 - BETA) * gates / loss.detach()


def slopes_of(model: PeftModel, layers: tuple[AdapterLayer, ...]) -> Tensor:
    """The effects by central finite differences."""
    step = 1e-4
    slopes = []
    with torch.no_grad():
        loss = loss_of(model, BATCH)
        for layer in layers:
            losses = []
            for gate in (1.0 + step, 1.0 - step):
                with gates_on(layer, gate):
                    losses.append(float(loss_of(model, BATCH)))
            slopes.append((losses[0] - losses[1]) / (2.0 * step))
    return effects_of(torch.tensor(slopes, dtype=torch.float64), loss)


@pytest.mark.parametrize("method", ["LoRA", "LoRA, patterns", "LoRA, lora_bias"])
def test_lora_needs_no_gate(method: str) -> None:
    """<B, dL/dB> is the derivative in a gate."""
    model, layers = make(method)
    gates = [torch.ones((), dtype=torch.float64, requires_grad=True) for _ in layers]
    with ExitStack() as stack:
        for layer, gate in zip(layers, gates, strict=True):
            stack.enter_context(gates_on(layer, gate))
        loss = loss_of(model, BATCH)
    expected = effects_of(torch.stack(torch.autograd.grad(loss, gates)), loss)
    torch.testing.assert_close(score(model, layers)[1], expected, rtol=1e-9, atol=1e-12)


def test_a_tells_the_same_as_b() -> None:
    model, layers = make("LoRA")
    loss = loss_of(model, BATCH)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
    products = torch.zeros(len(layers), dtype=torch.float64)
    for place, layer in enumerate(layers):
        for module in layer.modules:
            assert isinstance(module, Linear)
            factor = module.lora_A["default"].get_parameter("weight")
            assert factor.grad is not None
            products[place] += (factor.detach() * factor.grad).sum()
    expected = effects_of(products, loss)
    torch.testing.assert_close(score(model, layers)[1], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", NOT_LINEAR)
def test_other_adapters_agree_with_finite_differences(method: str) -> None:
    model, layers = make(method)
    expected = slopes_of(model, layers)
    assert float(expected.abs().min()) > 1e-5
    torch.testing.assert_close(score(model, layers)[1], expected, rtol=1e-5, atol=1e-8)


def test_a_frozen_b_gets_a_gate() -> None:
    """Its gradient is not there to tell."""
    model, _ = make("LoRA")
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.requires_grad_(False)
    layers = adapter_layers(model)
    expected = slopes_of(model, layers)
    torch.testing.assert_close(score(model, layers)[1], expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("method", ["LoRA", "DoRA"])
def test_the_predicted_effect_tends_to_the_measured_one(method: str) -> None:
    """The error is of second order in 1 - beta."""
    model, layers = make(method)
    errors = []
    for beta in (0.9, 0.99, 0.999):
        predicted = score(model, layers, beta)[1]
        with torch.no_grad():
            loss = loss_of(model, BATCH)
            measured = []
            for layer in layers:
                with suppressed([layer], beta):
                    measured.append(loss_of(model, BATCH) / loss - 1.0)
        errors.append((predicted - torch.stack(measured)).abs() / (1.0 - beta))
    assert bool((errors[1] < 0.2 * errors[0]).all())
    assert bool((errors[2] < 0.2 * errors[1]).all())


def test_a_layer_without_a_response_makes_gradient_norms_decide() -> None:
    model, layers = make("LoRA")
    with torch.no_grad():
        for module in layers[1].modules:
            assert isinstance(module, Linear)
            module.lora_B["default"].get_parameter("weight").zero_()
    loss_of(model, BATCH).backward()  # type: ignore[no-untyped-call]  # torch has no types here
    norms = [
        sum(float(item.grad.square().sum()) for item in layer.parameters if item.grad is not None)
        for layer in layers
    ]
    moved, effects = score(model, layers)
    assert effects[1] == 0.0
    assert effects[0] != 0.0
    assert moved.argsort().tolist() == torch.tensor(norms).argsort().tolist()
    assert moved.argsort().tolist() != effects.argsort().tolist()


@pytest.mark.parametrize("method", ["LoRA", "OSF", "FRoD"])
def test_adapters_at_their_start_have_no_response(method: str) -> None:
    """OSF and FRoD start as differences that are zero but for rounding, which must not rank the layers."""
    model = Case(method, FAMILY).make()
    model.eval()
    layers = adapter_layers(model)
    moved, effects = score(model, layers)
    assert float(effects.abs().max()) < 1e-6
    assert float(moved.abs().max()) > 0.1
