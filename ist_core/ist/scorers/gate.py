"""Gate gradients: what each layer's adapter response is worth, from one small backward pass.

With a gate g_i on the response of layer i (ist/suppression.py), to first order

    relative rise of the loss when layer i alone is suppressed    e_i = -(1 - beta) * (dL/dg_i) / L   at g = 1

For plain LoRA the response is linear in B, so dL/dg_i = sum of <B, dL/dB> over the layer's modules: no gate
is needed. Every other kind of adapter, and a B that is not trained, gets a gate that is a tensor. Where some
layer has no response yet (B = 0 at the start), its e_i is 0 whatever it could learn; then all layers are
ranked by the norm of the gradient of their adapters instead.

    reward     r_i = GAIN * (mean_j e_j - e_i) / sqrt(var_j e_j + NOISE^2)
    update     s_i <- s_i - mu * r_i * sigmoid(s_i) * (1 - sigmoid(s_i))

    s  scores     L  loss     beta  suppression     mu  score_rate
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn

from ist_core.errors import TrainingDiverged
from ist_core.ist.distributed import means_over_ranks
from ist_core.ist.layers import AdapterLayer
from ist_core.ist.probe import Probe
from ist_core.ist.sampler import LayerSampler
from ist_core.ist.scorers.scorer import ProbeReport
from ist_core.ist.scores import standardised, updated
from ist_core.ist.suppression import gated, is_plain_lora

_SILENT = 1e-6
"""Adapters that start as h - h_base = 0 by arithmetic (OSF, FRoD) miss it by float32 rounding."""


@dataclass(slots=True)
class _Gradients:
    """The gradients of one probe, summed over its parts."""

    loss: float = 0.0
    gates: list[float] = field(default_factory=list)
    parameters: list[list[Tensor | None]] = field(default_factory=list)


class GateGradients:
    """Scores every layer at once from the gradient of the probe's loss; one forward and backward a probe."""

    def __init__(self, layers: Sequence[AdapterLayer], *, beta: float, rate: float) -> None:
        self._layers = layers
        self._beta = beta
        self._rate = rate
        self._plain = [
            [module for module in layer.modules if is_plain_lora(module) and _trains_response(module, layer)]
            for layer in layers
        ]
        """Of each layer, the modules whose gate gradient their weights tell."""

    def score(
        self, scores: Tensor, probe: Probe, number: int, sampler: LayerSampler
    ) -> tuple[Tensor, ProbeReport]:
        """Return the scores after probe `number`, and what it saw.

        Raises:
            TrainingDiverged: if the loss or a gradient is not finite.
        """
        found = self._gradients(probe, number)
        numbers = [found.loss, *found.gates, *(_norm(gradients) for gradients in found.parameters)]
        loss, *rest = means_over_ranks(numbers)
        gates, norms = rest[: len(self._layers)], rest[len(self._layers) :]
        if not all(map(math.isfinite, (loss, *rest))):
            raise TrainingDiverged("the probe's loss or gradient is not finite; lower learning_rate")
        scale = max(abs(loss), torch.finfo(torch.float64).tiny)
        effects = [-(1.0 - self._beta) * gate / scale for gate in gates]
        # A layer without a response has nothing to suppress, and yet may have the most to learn.
        silent = any(abs(effect) < _SILENT for effect in effects)
        evidence = _relative(norms) if silent else effects
        reward = standardised(torch.tensor(evidence, dtype=torch.float64))
        moved = updated(scores, [(index,) for index in range(len(scores))], reward, self._rate)
        return moved, ProbeReport(effects=tuple(effects), tensor_bytes=_bytes(found.parameters))

    def _gradients(self, probe: Probe, number: int) -> _Gradients:
        sizes = [len(layer.parameters) for layer in self._layers]
        found = _Gradients(gates=[0.0] * len(sizes), parameters=[[None] * size for size in sizes])
        with ExitStack() as stack:
            gates = [self._open(*pair, stack) for pair in zip(self._layers, self._plain, strict=True)]
            wanted = [parameter for layer in self._layers for parameter in layer.parameters] + gates
            with torch.enable_grad():
                for part in probe.parts(number):
                    gradients = torch.autograd.grad(part, wanted, allow_unused=True)
                    found.loss += part.item()
                    self._add(found, gradients)
        return found

    @staticmethod
    def _open(layer: AdapterLayer, plain: Sequence[Linear], stack: ExitStack) -> Tensor:
        """Put the layer's gate on those modules whose gate gradient their weights do not tell."""
        gate = torch.ones((), device=layer.parameters[0].device, requires_grad=True)
        for module in layer.adapted:
            if module not in plain:
                stack.enter_context(gated(module, layer.adapters, gate))
        return gate

    def _add(self, found: _Gradients, gradients: Sequence[Tensor | None]) -> None:
        flat = iter(gradients)
        for place, layer in enumerate(self._layers):
            by_parameter = {}
            for at, parameter in enumerate(layer.parameters):
                gradient = next(flat)
                if gradient is None:
                    continue
                by_parameter[id(parameter)] = gradient
                before = found.parameters[place][at]
                found.parameters[place][at] = gradient if before is None else before + gradient
            for module in self._plain[place]:
                found.gates[place] += _linear_gate(module, layer.adapters, by_parameter)
        for place in range(len(self._layers)):
            if (gradient := next(flat)) is not None:
                found.gates[place] += gradient.item()


def _linear_gate(module: Linear, adapters: frozenset[str], gradients: dict[int, Tensor]) -> float:
    """Return <B, dL/dB> (with B's bias, if it has one): dL/dg of a response that is linear in B."""
    return sum(
        float((parameter.detach().double() * gradients[id(parameter)].double()).sum())
        for parameter in _responses(module, adapters)
        if id(parameter) in gradients
    )


def _trains_response(module: Linear, layer: AdapterLayer) -> bool:
    """Whether B is trained; some methods train A alone."""
    trained = {id(parameter) for parameter in layer.parameters}
    return all(id(parameter) in trained for parameter in _responses(module, layer.adapters))


def _responses(module: Linear, adapters: frozenset[str]) -> Iterator[nn.Parameter]:
    for adapter in sorted(adapters & set(module.lora_B)):
        yield from module.lora_B[adapter].parameters()


def _norm(gradients: Sequence[Tensor | None]) -> float:
    """Return the norm of all the gradients together."""
    squares = [float(gradient.double().square().sum()) for gradient in gradients if gradient is not None]
    return math.sqrt(sum(squares))


def _relative(norms: Sequence[float]) -> list[float]:
    """Return the norms as multiples of their mean."""
    mean = sum(norms) / len(norms)
    return [norm / mean if mean > 0.0 else 0.0 for norm in norms]


def _bytes(parameters: Sequence[Sequence[Tensor | None]]) -> int:
    return sum(g.numel() * g.element_size() for gradients in parameters for g in gradients if g is not None)
