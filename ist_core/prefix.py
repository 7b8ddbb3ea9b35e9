"""Layers that have settled: what they make of a row is constant, so it is made once a row and kept.

    h_0 = embedding(row)        h_c = (f_c ... f_1)(h_0)  constant once layers 1 .. c are never updated again

Training is then what the layers above c cost. Freezing from below with cached activations is AutoFreeze's
(Liu et al., 2021, arXiv 2102.01386). What a row is read beside changes the last digits, so it is always the
same rows, whatever batch asks for it: it makes no difference whether its states were kept or are made again,
as after a resumption.

    c  depth
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from ist_core.batches import Batch
from ist_core.hidden_states import HiddenStates, Tokens
from ist_core.ist import decoder_layers
from ist_core.keeping import drops_out
from ist_core.kernels.forwards import replace
from ist_core.loss import read
from ist_core.settled import FAMILIES


def can_be_passed(model: PeftModel) -> bool:
    """Whether layers of the model can be passed by: its family is known, and nothing is dropped out."""
    return model.config.model_type in FAMILIES and not drops_out(model)


def read_together(rows: Iterable[Tokens], size: int) -> list[tuple[Tokens, ...]]:
    """Return the distinct rows in groups of `size`, of similar lengths, whatever order they come in."""
    ordered = sorted(set(rows), key=lambda row: (len(row), row))
    return [tuple(ordered[at : at + size]) for at in range(0, len(ordered), size)]


class _Reached(Exception):  # no error: the rest of the model is not wanted
    """Rows have come to the first layer that has not settled."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


class Prefix:
    """The lowest `depth` decoder layers of a model, which nothing changes any more.

    Args:
        collate: returns rows as the model reads them.
        groups: rows that are read together, as far as there is room to keep them; all others are read alone.
        folder: on whose disk hidden states are kept. None: the system's folder for temporary files.
        limit: bytes that may be taken there. None: half of what is free.
    """

    def __init__(
        self,
        model: PeftModel,
        depth: int,
        *,
        collate: Callable[[Sequence[Tokens]], Batch],
        groups: Iterable[tuple[Tokens, ...]] = (),
        folder: Path | None,
        limit: int | None = None,
    ) -> None:
        stack = decoder_layers(model)[1]
        self.depth = depth
        self._model = model
        self._collate = collate
        self._kept = HiddenStates(
            folder, size=model.config.get_text_config().hidden_size, dtype=model.dtype, limit=limit
        )
        self._group = {row: group for group in self._with_room(groups) for row in group}
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
    def passed(self, batch: Batch) -> Iterator[None]:
        """Inside the block the settled layers are passed by: the model is called with the batch."""
        states = [self._states(row) for row in batch.rows]
        given = states[0].new_zeros((batch.tokens.numel(), states[0].shape[-1]))
        for start, found in zip(batch.starts, states, strict=True):
            given[start : start + len(found)] = found
        self._given = given.view(*batch.tokens.shape, -1).to(self._model.device)
        try:
            yield
        finally:
            self._given = None

    def release(self) -> None:
        """Give every layer its own forward back, and the disk its space."""
        for restore in self._restore:
            restore()
        self._kept.close()

    def _with_room(self, groups: Iterable[tuple[Tokens, ...]]) -> Iterator[tuple[Tokens, ...]]:
        """Yield the groups that can be kept whole: making one again for each of its rows would take long."""
        left = self._kept.room
        for group in groups:
            left -= sum(map(len, group))
            if left < 0:
                return
            yield group

    def _states(self, row: Tokens) -> Tensor:
        found = self._kept.get(row)
        if found is not None:
            return found
        group = self._group.get(row, (row,))
        made = dict(zip(group, self._make(group), strict=True))
        for each, states in made.items():
            self._kept.put(each, states)
        return made[row]

    def _make(self, rows: Sequence[Tokens]) -> list[Tensor]:
        """Let the settled layers alone read rows; returns (T, hidden) of each on the CPU."""
        batch = self._collate(rows)
        self._looking = True
        try:
            with torch.no_grad():
                read(self._model, batch)
        except _Reached as reached:
            found = reached.states.cpu().flatten(0, 1)
            starts = zip(batch.starts, rows, strict=True)
            return [found[start : start + len(row)] for start, row in starts]
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
