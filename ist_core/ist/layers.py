"""Finds a model's decoder layers by structure, and the adapters on each of them."""

from __future__ import annotations

from dataclasses import dataclass

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from ist_core.errors import AdapterError


@dataclass(frozen=True, slots=True)
class AdapterLayer:
    """The adapters of one decoder layer."""

    modules: tuple[BaseTunerLayer, ...]
    parameters: tuple[nn.Parameter, ...]
    """The adapters' trainable parameters."""


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
    """Return the adapters of each decoder layer, from the first layer to the last.

    Raises:
        AdapterError: if a layer has no trainable adapter.
    """
    found = []
    for index, layer in enumerate(decoder_layers(model)[1]):
        modules = tuple(module for module in layer.modules() if isinstance(module, BaseTunerLayer))
        parameters = tuple(parameter for parameter in layer.parameters() if parameter.requires_grad)
        if not modules or not parameters:
            raise AdapterError(f"layer {index} has no trainable adapter; put adapters on every layer")
        found.append(AdapterLayer(modules, parameters))
    return tuple(found)


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
