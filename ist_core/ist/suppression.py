"""Gates on adapter responses: suppression, and gates whose gradient tells what a layer's response is worth.

In each adapted module of a layer, with h_base what the module computes without its adapters:

    h = h_base + g * (h_adapted - h_base)

    g = beta < 1   suppression (Yao et al., 2024, section 3.2)     g = 1, a leaf tensor   dL/dg is its worth

A plain LoRA response is scaling * B A x, so there beta goes on `scaling` and nothing is computed twice. Every
other module, also one that is trained in full (`modules_to_save`), is asked a second time without its
adapters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeGuard

from peft.tuners.lora import Linear
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from ist_core.errors import AdapterError
from ist_core.ist.layers import Adapted, AdapterLayer


@contextmanager
def suppressed(layers: Iterable[AdapterLayer], beta: float) -> Iterator[None]:
    """Inside the block each adapted module of `layers` computes h_base + beta * (h_adapted - h_base).

    Everything is restored bit for bit at the end, also after an exception.

    Raises:
        AdapterError: if an adapter is merged into its base weights.
    """
    with ExitStack() as stack:
        for layer in layers:
            for module in layer.adapted:
                if is_plain_lora(module):
                    stack.enter_context(_scaled(module, layer.adapters, beta))
                else:
                    stack.enter_context(gated(module, layer.adapters, beta))
        yield


@contextmanager
def gated(module: Adapted, adapters: frozenset[str], gate: float | Tensor) -> Iterator[None]:
    """Inside the block `module` computes h_base + gate * (h_adapted - h_base) while `adapters` are active.

    `gate` may be a scalar tensor; gradients flow through it.

    Raises:
        AdapterError: if an adapter is merged into its base weights, or the module returns no single tensor.
    """
    if isinstance(module, BaseTunerLayer):
        _refuse_merged(module)

    def scale(owner: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], adapted: Any) -> Any:
        if module.disable_adapters or not adapters.issuperset(module.active_adapters):
            return adapted
        _refuse_compound(module, adapted)
        with _without_adapters(owner):
            # forward, not a call: hooks have been through these arguments already.
            base: Tensor = owner.forward(*args, **kwargs)
        return base + gate * (adapted - base)

    if not isinstance(module, nn.Module):
        raise TypeError(f"{type(module).__name__} is no torch module")
    handle = module.register_forward_hook(scale, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def is_plain_lora(module: Adapted) -> TypeGuard[Linear]:
    """Whether the module's response is linear in its `scaling` and in its B: LoRA without a variant."""
    return type(module) is Linear and not module.lora_variant


@contextmanager
def _scaled(module: Linear, adapters: frozenset[str], beta: float) -> Iterator[None]:
    _refuse_merged(module)
    before = dict(module.scaling)
    try:
        for adapter in adapters & before.keys():
            module.scaling[adapter] = before[adapter] * beta
        yield
    finally:
        module.scaling.update(before)


def _refuse_merged(module: BaseTunerLayer) -> None:
    if module.merged:
        raise AdapterError(
            "adapters are merged into the base weights, so their response cannot be scaled; unmerge them"
        )


def _refuse_compound(module: Adapted, output: Any) -> None:
    """Raise for a whole attention module, say: it returns a tuple, and fills its cache when asked twice."""
    if not isinstance(output, Tensor):
        raise AdapterError(
            f"a {type(module).__name__} in the layers returns a {type(output).__name__}, not one tensor, so "
            "its response cannot be scaled; name the linear modules inside it (target_modules)"
        )


@contextmanager
def _without_adapters(owner: nn.Module) -> Iterator[None]:
    """Let a module, and the peft modules inside it, compute what their base computes.

    peft's own switch, `enable_adapters(False)`, also turns `requires_grad` off.
    """
    chain = [item for item in owner.modules() if isinstance(item, Adapted)]
    before = [item._disable_adapters for item in chain]  # noqa: SLF001  # see above
    try:
        for item in chain:
            item._disable_adapters = True  # noqa: SLF001  # see above
        yield
    finally:
        for item, value in zip(chain, before, strict=True):
            item._disable_adapters = value  # noqa: SLF001  # see above
