"""Second check: a suppressed module computes h_base + beta (h_adapted - h_base), and no trace is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from benchmarks.ist_matrix.case import Case, CheckFailed, perturb
from benchmarks.ist_matrix.models import quiet
from ist_core.ist import AdapterLayer, adapter_layers
from ist_core.ist.suppression import suppressed

BETA = 0.25
EXACT = 2e-6
"""Float32 rounding, as a share of the module's largest output."""
Calls = dict[nn.Module, tuple[tuple[Any, ...], dict[str, Any]]]
Outputs = dict[nn.Module, Tensor]


@torch.no_grad()
def exact_suppression(case: Case) -> None:
    """Suppress each layer in turn, and ask every adapted module with the input that it has in the model.

    Raises:
        CheckFailed: if an output is not what the equation says, or anything is not restored.
    """
    model = case.make()
    perturb(model)
    layers = adapter_layers(model)
    calls = _calls(case, model, layers)
    adapted, base = _outputs(calls), _base_outputs(model, calls)
    logits, traces = case.logits(model), _traces(model)
    for layer in layers:
        with suppressed([layer], BETA):
            _compare(layer, _outputs(calls), adapted, base)
            if torch.equal(case.logits(model), logits):
                raise CheckFailed(f"suppressing layer {layer.index} does not change what the model says")
        _interrupt(case, model, layer)
        if not torch.equal(case.logits(model), logits) or _differ(_outputs(calls), adapted):
            raise CheckFailed(f"the outputs are other ones after layer {layer.index} was suppressed")
        if _traces(model) != traces:
            raise CheckFailed(f"the state is another one after layer {layer.index} was suppressed")


def _calls(case: Case, model: PeftModel, layers: Sequence[AdapterLayer]) -> Calls:
    """Return what each adapted module is called with."""
    calls: Calls = {}

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], _: Any) -> None:
        calls[module] = (args, kwargs)

    modules = [module for layer in layers for module in layer.adapted if isinstance(module, nn.Module)]
    handles = [module.register_forward_hook(note, with_kwargs=True) for module in modules]
    case.logits(model)
    for handle in handles:
        handle.remove()
    if calls.keys() != set(modules):
        raise CheckFailed(f"{len(modules) - len(calls)} adapted modules are not asked in a forward pass")
    return calls


def _outputs(calls: Calls) -> Outputs:
    return {module: module(*args, **kwargs).clone() for module, (args, kwargs) in calls.items()}


def _base_outputs(model: PeftModel, calls: Calls) -> Outputs:
    """Return what the modules compute without adapters, by peft's own switch, and put the flags back."""
    flags = [parameter.requires_grad for parameter in model.parameters()]
    with quiet(), model.disable_adapter():
        outputs = _outputs(calls)
    for parameter, flag in zip(model.parameters(), flags, strict=True):
        parameter.requires_grad_(flag)
    return outputs


def _compare(layer: AdapterLayer, inside: Outputs, adapted: Outputs, base: Outputs) -> None:
    for module, output in inside.items():
        if module not in layer.adapted:
            if not torch.equal(output, adapted[module]):
                raise CheckFailed(f"suppressing layer {layer.index} changes a module of another layer")
            continue
        response = adapted[module] - base[module]
        size = float(torch.maximum(adapted[module].abs().max(), base[module].abs().max()))
        if float(response.abs().max()) < 1e3 * EXACT * size:
            raise CheckFailed(f"a {type(module).__name__} of layer {layer.index} has no response to scale")
        error = float((output - base[module] - BETA * response).abs().max()) / size
        if error > EXACT:
            raise CheckFailed(f"a {type(module).__name__} of layer {layer.index} is off by {error:.1e}")


def _interrupt(case: Case, model: PeftModel, layer: AdapterLayer) -> None:
    """Leave the block by an exception, after a forward pass."""
    with suppress(KeyboardInterrupt), suppressed([layer], BETA):
        case.logits(model)
        raise KeyboardInterrupt


def _differ(first: Mapping[nn.Module, Tensor], second: Mapping[nn.Module, Tensor]) -> bool:
    return any(not torch.equal(first[key], second[key]) for key in first)


def _traces(model: nn.Module) -> dict[str, Any]:
    """Return all that suppression could leave behind, in a form that can be compared."""
    traces: dict[str, Any] = {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        traces[name] = (tensor.requires_grad, tensor.detach().numpy().tobytes())
    for name, module in model.named_modules():
        attributes = vars(module)
        scaling = attributes.get("scaling")
        hooks = len(attributes["_forward_hooks"]) + len(attributes["_forward_pre_hooks"])
        switches = (attributes.get("_disable_adapters"), attributes.get("_active_adapter"), module.training)
        traces[f"{name}()"] = (hooks, dict(scaling) if isinstance(scaling, dict) else scaling, switches)
    return traces
