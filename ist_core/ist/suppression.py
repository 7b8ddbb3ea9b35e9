"""Suppression: a layer's adapter response, scaled by beta for a while and restored bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from peft.tuners.lora import LoraLayer

from ist_core.errors import AdapterError
from ist_core.ist.layers import AdapterLayer


@contextmanager
def suppressed(layers: Iterable[AdapterLayer], beta: float) -> Iterator[None]:
    """Inside the block each layer computes h_base + beta * (h_adapted - h_base) in each adapted module.

    For LoRA, h_adapted - h_base is scaling * B A x, so beta goes on the scaling of each adapter of each
    peft module; no other attribute that happens to be called `scaling` is looked at.

    Raises:
        AdapterError: for adapters whose response is not linear in their scaling, such as DoRA.
    """
    modules = [_lora(module) for layer in layers for module in layer.modules]
    before = [dict(module.scaling) for module in modules]
    try:
        for module in modules:
            for adapter in module.scaling:
                module.scaling[adapter] = module.scaling[adapter] * beta
        yield
    finally:
        for module, scaling in zip(modules, before, strict=True):
            module.scaling.update(scaling)


def _lora(module: object) -> LoraLayer:
    if not isinstance(module, LoraLayer) or module.lora_variant:
        raise AdapterError(f"importance can be probed with plain LoRA only, not with {type(module).__name__}")
    return module
