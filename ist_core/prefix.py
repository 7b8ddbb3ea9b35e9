"""Layers that have settled: what they make of a row is constant, so it is made once a row and kept.

    h_0 = embedding(row)        h_c = (f_c ... f_1)(h_0)  constant once layers 1 .. c are never updated again

Training is then what the layers above c cost. Freezing from below with cached activations is AutoFreeze's
(Liu et al., 2021, arXiv 2102.01386). A row's states are always made of that row alone, never beside others in
a batch, whose sizes would change the last digits: it makes no difference whether they were kept or are made
again, as after a resumption.

    c  depth
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from ist_core.hidden_states import HiddenStates, Tokens
from ist_core.ist import decoder_layers
from ist_core.keeping import drops_out
from ist_core.kernels.forwards import replace
from ist_core.settled import FAMILIES


def can_be_passed(model: PeftModel) -> bool:
    """Whether layers of the model can be passed by: its family is known, and nothing is dropped out."""
    return model.config.model_type in FAMILIES and not drops_out(model)


class _Reached(Exception):  # no error: the rest of the model is not wanted
    """A row has come to the first layer that has not settled."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


class Prefix:
    """The lowest `depth` decoder layers of a model, which nothing changes any more.

    Args:
        alone: returns a row as the model reads it on its own, (1, T) with padding on the right.
        folder: on whose disk hidden states are kept. None: the system's folder for temporary files.
        limit: bytes that may be taken there. None: half of what is free.
    """

    def __init__(
        self,
        model: PeftModel,
        depth: int,
        *,
        alone: Callable[[Tokens], Tensor],
        folder: Path | None,
        limit: int | None = None,
    ) -> None:
        stack = decoder_layers(model)[1]
        self.depth = depth
        self._model = model
        self._alone = alone
        self._kept = HiddenStates(
            folder, size=model.config.get_text_config().hidden_size, dtype=model.dtype, limit=limit
        )
        self._given: Tensor | None = None
        self._looking = False
        self._restore = [
            replace(layer, self._forward(index, layer.forward))
            for index, layer in enumerate(stack[: depth + 1])
        ]

    @property
    def rows(self) -> int:
        """How many rows' states are kept."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """What they take on the disk."""
        return self._kept.bytes

    @contextmanager
    def passed(self, rows: Sequence[Tokens], *, width: int) -> Iterator[None]:
        """Inside the block the settled layers are passed by: the model is called with `rows`.

        Args:
            width: what they are padded to, on the right.
        """
        states = [self._states(row) for row in rows]
        given = states[0].new_zeros((len(rows), width, states[0].shape[-1]))
        for place, found in enumerate(states):
            given[place, : len(found)] = found
        self._given = given.to(self._model.device)
        try:
            yield
        finally:
            self._given = None

    def release(self) -> None:
        """Give every layer its own forward back, and the disk its space."""
        for restore in self._restore:
            restore()
        self._kept.close()

    def _states(self, row: Tokens) -> Tensor:
        found = self._kept.get(row)
        if found is None:
            found = self._make(row)
            self._kept.put(row, found)
        return found

    def _make(self, row: Tokens) -> Tensor:
        """Let the settled layers alone read a row; returns (T, hidden) on the CPU."""
        self._looking = True
        try:
            with torch.no_grad():
                self._model(input_ids=self._alone(row), use_cache=False)
        except _Reached as reached:
            return reached.states[0, : len(row)].cpu()
        finally:
            self._looking = False
        raise TypeError("the model has not come to its own layers")

    def _forward(self, index: int, plain: Any) -> Any:
        def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            if self._looking and index == self.depth:
                raise _Reached(hidden_states)
            if self._given is None or index == self.depth:
                return plain(hidden_states, *args, **kwargs)
            return self._given if index == 0 else hidden_states

        return forward
