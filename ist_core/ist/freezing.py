"""Keeps exactly the selected layers' adapters trainable, whatever else touches `requires_grad` meanwhile.

peft's `set_adapter` and `disable_adapter` make every adapter trainable again, and TRL's DPOTrainer calls them
between forward and backward pass for its reference model. Hence the flags are set again when a forward pass
of the model begins, and when a backward pass reaches its output: before checkpointing recomputes any layer.
The hooks sit on the model and not on its layers, which may be compiled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ist_core.ist.layers import AdapterLayer

_HOLDERS: WeakKeyDictionary[nn.Module, LayerFreezer] = WeakKeyDictionary()
"""Who holds a model's flags: a second IST on it must not take frozen layers for ones without adapters."""


def release_holder(model: nn.Module) -> None:
    """Let an earlier IST, which was never told that training is over, let go of `model`."""
    if (holder := _HOLDERS.get(model)) is not None:
        holder.release()


class LayerFreezer:
    """Owns the `requires_grad` flags of all layers' adapters from `hold` to `release`."""

    def __init__(self, layers: Sequence[AdapterLayer], model: nn.Module) -> None:
        """Take the adapters and the model; nothing is frozen yet."""
        self._layers = layers
        self._model = model
        self._active = frozenset(range(len(layers)))
        self._handles: list[RemovableHandle] = []

    def hold(self, active: Sequence[int]) -> None:
        """Make the layers at these positions trainable, freeze the others, and keep it so."""
        self._active = frozenset(active)
        if not self._handles:
            _HOLDERS[self._model] = self
            self._handles = [
                self._model.register_forward_pre_hook(self._on_forward),
                self._model.register_forward_hook(self._on_output),
            ]
        self._apply()
        for index, layer in enumerate(self._layers):
            if index not in self._active:
                for parameter in layer.parameters:
                    # An optimizer moves whatever has a gradient, be it an old one or zero.
                    parameter.grad = None

    def release(self) -> None:
        """Make every layer trainable again and let go of the model."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        _HOLDERS.pop(self._model, None)
        self._active = frozenset(range(len(self._layers)))
        self._apply()

    @contextmanager
    def all_trainable(self) -> Iterator[None]:
        """Inside the block every layer is trainable."""
        before, self._active = self._active, frozenset(range(len(self._layers)))
        try:
            self._apply()
            yield
        finally:
            self._active = before
            self._apply()

    def _apply(self, *_: object) -> None:
        for index, layer in enumerate(self._layers):
            for parameter in layer.parameters:
                parameter.requires_grad_(index in self._active)

    def _on_forward(self, _: nn.Module, __: tuple[Any, ...]) -> None:
        self._apply()

    def _on_output(self, _: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        for tensor in _tensors(output):
            if tensor.requires_grad:
                tensor.register_hook(self._apply)  # type: ignore[no-untyped-call]  # torch has no types here


def _tensors(output: Any) -> Iterable[Tensor]:
    """Return the tensors of a model's output: one, a tuple of them, or transformers' mapping."""
    if isinstance(output, Tensor):
        return [output]
    values = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple) else ()
    return [value for value in values if isinstance(value, Tensor)]
