"""Of which layers a step keeps the activations for its backward pass: `recompute` of a job, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from peft import PeftModel
from torch import nn

from ist_core.ist import AdapterLayer, IstRecord, decoder_layers
from ist_core.kernels.recompute import Recompute
from ist_core.planner import KeptLayers
from ist_core.settled import draws_at_random


class Keeping:
    """Tells the model's layers before each step whether to keep or to compute again.

    A step keeps the activations of so many layers, if it goes back through so many: of those that it updates
    first, and of these the ones nearest the output.

    Args:
        kept: layers that keep their activations; None: every layer.
    """

    def __init__(self, model: PeftModel, layers: Sequence[AdapterLayer], *, kept: KeptLayers | None) -> None:
        self._depth = 0
        self.again: frozenset[int] = frozenset()
        """The layers that compute again in the step that comes."""
        if kept is None:
            return
        stack = decoder_layers(model)[1]
        self._depth = len(stack)
        self._indices = [layer.index for layer in layers]
        self._kept = kept
        self._recompute = Recompute(stack, random=drops_out(model))
        self._set(range(self._depth - self._kept.later))

    def choose(self, record: IstRecord | None) -> None:
        """Choose for the step that `record` tells of; None: all layers are updated."""
        if not self._depth:
            return
        active = range(len(self._indices)) if record is None else record.active
        selected = {self._indices[position] for position in active}
        # The backward pass does not reach the layers below the lowest selected one: they keep nothing.
        reached = range(min(selected), self._depth)
        wanted = sorted(reached, key=lambda index: (index in selected, index), reverse=True)
        kept = self._kept.warmup if record is not None and record.warming_up else self._kept.later
        self._set(wanted[kept:])

    def _set(self, layers: Iterable[int]) -> None:
        self.again = frozenset(layers)
        self._recompute.choose(self.again)


def drops_out(model: PeftModel) -> bool:
    """Whether training draws random numbers: the adapters or the base model itself drop something out."""
    dropped = any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules())
    return dropped or draws_at_random(vars(model.get_base_model().config))
