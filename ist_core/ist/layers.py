"""Finds a model's decoder layers by structure, and the adapters on each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from ist_core.errors import AdapterError


@dataclass(frozen=True, slots=True)
class AdapterLayer:
    """The adapters of one decoder layer."""

    index: int
    """Where the layer stands in the model's list of layers."""
    modules: tuple[BaseTunerLayer, ...]
    parameters: tuple[nn.Parameter, ...]
    """The adapters' trainable parameters."""
    adapters: frozenset[str]
    """Names of the adapters that are trained; others, such as DPO's frozen reference, are left alone."""


def decoder_layers(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """Return name and list of the model's decoder layers: the outermost `ModuleList` with most weights.

    Raises:
        AdapterError: if there is no such list, or two of similar size (an encoder beside a decoder).
    """
    sizes = []
    for name, module in _outermost_lists(model):
        sizes.append((sum(parameter.numel() for parameter in module.parameters()), name, module))
    sizes = sorted((item for item in sizes if item[0]), key=lambda item: -item[0])
    if not sizes:
        raise AdapterError("the model has no list of layers, so adapters cannot be tuned layer by layer")
    if len(sizes) > 1 and 2 * sizes[1][0] >= sizes[0][0]:
        names = f"{sizes[0][1]} and {sizes[1][1]}"
        raise AdapterError(
            f"the model has two stacks of layers ({names}); only decoder-only models are supported"
        )
    return sizes[0][1], sizes[0][2]


def adapter_layers(model: nn.Module) -> tuple[AdapterLayer, ...]:
    """Return the trainable adapters of each decoder layer that has any, from the first layer to the last.

    Raises:
        AdapterError: if no layer has a trainable adapter, or layers share the weights that are trained.
    """
    _refuse_prompts(model)
    name, stack = decoder_layers(model)
    found = []
    for index, layer in enumerate(stack):
        modules = tuple(_outermost_tuners(layer))
        parameters = tuple(parameter for parameter in layer.parameters() if parameter.requires_grad)
        if modules and parameters:
            adapters = frozenset(adapter for module in modules for adapter in module.active_adapters)
            found.append(AdapterLayer(index, modules, parameters, adapters))
    if not found:
        raise AdapterError(_no_adapters(model, name, stack))
    _refuse_shared(model, found)
    return tuple(found)


def _refuse_prompts(model: nn.Module) -> None:
    if isinstance(model, PeftModel) and model.active_peft_config.is_prompt_learning:
        kind = model.active_peft_config.peft_type
        raise AdapterError(
            f"{kind} learns a prompt for the whole model, not weights on each layer, so there is nothing to "
            "choose among; use a method that adapts every layer, such as LoRA"
        )


def _no_adapters(model: nn.Module, name: str, stack: nn.ModuleList) -> str:
    """Say why no layer has a trainable adapter."""
    if any(parameter.requires_grad for parameter in stack.parameters()):
        return (
            f"what is trainable in the layers ({name}) are no peft adapter modules, so their response cannot "
            "be told from the base model's; use a method that wraps modules of each layer, such as LoRA"
        )
    if any(isinstance(module, BaseTunerLayer) for module in model.modules()):
        return (
            f"no adapter on a layer of {name} is trainable: put trainable adapters on modules inside the "
            "layers (target_modules)"
        )
    return "the model has no adapters: call peft's get_peft_model on it first"


def _refuse_shared(model: nn.Module, layers: list[AdapterLayer]) -> None:
    """Raise when one trainable parameter stands in several layers: updating it updates them all."""
    uses = Counter(id(parameter) for layer in layers for parameter in layer.parameters)
    shared = {key for key, count in uses.items() if count > 1}
    if shared:
        name = next(name for name, parameter in model.named_parameters() if id(parameter) in shared)
        raise AdapterError(
            f"the layers share trained weights ({name}), so no layer can be updated alone; use a method with "
            "weights of its own on every layer, such as LoRA"
        )


def _outermost_tuners(module: nn.Module) -> Iterator[BaseTunerLayer]:
    """Yield the peft modules that are not inside another one: the outer response holds the inner one's."""
    for child in module.children():
        if isinstance(child, BaseTunerLayer):
            yield child
        else:
            yield from _outermost_tuners(child)


def _outermost_lists(module: nn.Module, prefix: str = "") -> list[tuple[str, nn.ModuleList]]:
    """Return all module lists that are not inside another one (experts of a layer are), with their names."""
    lists: list[tuple[str, nn.ModuleList]] = []
    for name, child in module.named_children():
        full = f"{prefix}{name}"
        if isinstance(child, nn.ModuleList):
            lists.append((full, child))
        else:
            lists += _outermost_lists(child, f"{full}.")
    return lists
