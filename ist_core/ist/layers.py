"""Finds a model's decoder layers by structure, and the adapters on each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import PeftType
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from ist_core.errors import AdapterError

Adapted = BaseTunerLayer | AuxiliaryTrainingWrapper
"""peft's two ways of changing a module: adapters on it, or a copy that is trained in full."""
Kind = TypeVar("Kind")


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
    copies: tuple[AuxiliaryTrainingWrapper, ...] = ()
    """Modules that are trained in full, as copies beside the base's own: peft's `modules_to_save`."""

    @property
    def adapted(self) -> tuple[Adapted, ...]:
        """All modules that have a response: with adapters, or trained in full."""
        return (*self.modules, *self.copies)


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

    What is trained outside the layers, such as a `lm_head` in `modules_to_save`, is trained in every step.

    Raises:
        AdapterError: if no layer has a trainable adapter, or a layer cannot be tuned alone.
    """
    _refuse_whole_model(model)
    name, stack = decoder_layers(model)
    found = []
    for index, layer in enumerate(stack):
        _refuse_whole_layer(layer, name)
        modules = tuple(_outermost(layer, BaseTunerLayer))
        copies = tuple(_outermost(layer, AuxiliaryTrainingWrapper))
        parameters = tuple(parameter for parameter in layer.parameters() if parameter.requires_grad)
        if parameters:
            adapted: list[Adapted] = [*modules, *copies]
            _refuse_foreign(adapted, f"{name}.{index}")
            adapters = frozenset(adapter for module in adapted for adapter in module.active_adapters)
            found.append(AdapterLayer(index, modules, parameters, adapters, copies))
    if not found:
        raise AdapterError(_no_adapters(model, name))
    _refuse_shared(model, found)
    return tuple(found)


def _refuse_whole_model(model: nn.Module) -> None:
    """Raise when the method adapts the model as a whole."""
    if not isinstance(model, PeftModel):
        return
    config = model.active_peft_config
    if config.is_prompt_learning:
        raise AdapterError(
            f"{config.peft_type.value} learns a prompt for the whole model, not weights on each layer, so "
            "there is nothing to choose among; use a method that adapts every layer, such as LoRA"
        )
    if config.peft_type == PeftType.XLORA:
        raise AdapterError(
            "XLORA mixes its adapters by one classifier for the whole model, so no layer can be updated "
            "alone; train the adapters themselves, as LoRA"
        )


def _refuse_whole_layer(layer: nn.Module, name: str) -> None:
    """Raise when peft's module is the layer itself."""
    if isinstance(layer, BaseTunerLayer):
        raise AdapterError(
            f"{type(layer).__name__} wraps the layers of {name} as a whole, not modules inside them, so a "
            "layer's response cannot be told from the base model's; use a method that wraps modules of each "
            "layer, such as LoRA"
        )


def _refuse_foreign(adapted: list[Adapted], name: str) -> None:
    """Raise when what is trainable in a layer is not peft's."""
    if not adapted:
        raise AdapterError(
            f"what is trainable in {name} is no peft adapter module, so its response cannot be told from the "
            "base model's; use a method that wraps modules of each layer, such as LoRA"
        )


def _no_adapters(model: nn.Module, name: str) -> str:
    """Say why no layer has a trainable adapter."""
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


def _outermost(module: nn.Module, kind: type[Kind]) -> Iterator[Kind]:
    """Yield the modules of a kind that are not inside another: the outer response holds the inner one's."""
    for child in module.children():
        if isinstance(child, kind):
            yield child
        elif not isinstance(child, Adapted):
            yield from _outermost(child, kind)


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
