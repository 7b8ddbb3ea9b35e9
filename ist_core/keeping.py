"""Of which layers a step keeps the activations for its backward pass: `recompute` of a job, step by step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from peft import PeftModel
from torch import nn

from ist_core.ist import AdapterLayer, IstRecord, decoder_layers
from ist_core.kernels.recompute import Recompute
from ist_core.settled import draws_at_random
from ist_core.spec import JobSpec


class Keeping:
    """Tells the model's layers before each step whether to keep or to compute again.

    With `unselected`, a step keeps what as many layers hold as IST selects: in a warm-up, which updates all
    layers, those nearest the output; later those that are updated.
    """

    def __init__(self, model: PeftModel, layers: Sequence[AdapterLayer], spec: JobSpec) -> None:
        self._depth = 0
        self.again: frozenset[int] = frozenset()
        """The layers that compute again in the step that comes."""
        if spec.recompute == "none":
            return
        stack = decoder_layers(model)[1]
        self._depth = len(stack)
        self._indices = [layer.index for layer in layers]
        kept = 0 if spec.recompute == "all" or spec.ist is None else spec.ist.update_fraction * len(layers)
        self._kept = max(1, math.floor(kept)) if kept else 0
        self._recompute = Recompute(stack, random=drops_out(model))
        self._set(range(self._depth - self._kept))

    def choose(self, record: IstRecord | None) -> None:
        """Choose for the step that `record` tells of; None: all layers are updated."""
        if not self._depth:
            return
        active = range(len(self._indices)) if record is None else record.active
        selected = [self._indices[position] for position in active]
        kept = set(selected[-self._kept :]) if self._kept else set()
        # The backward pass does not reach the layers below the lowest selected one: they keep nothing.
        self._set(index for index in range(selected[0], self._depth) if index not in kept)

    def _set(self, layers: Iterable[int]) -> None:
        self.again = frozenset(layers)
        self._recompute.choose(self.again)


def drops_out(model: PeftModel) -> bool:
    """Whether training draws random numbers: the adapters or the base model itself drop something out."""
    dropped = any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules())
    return dropped or draws_at_random(vars(model.get_base_model().config))
