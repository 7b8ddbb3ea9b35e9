"""Switches adapters on a base model row by row, through hooks on its linear modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ist_core.inference.blocks import Block, Group, Mixed, side_by_side


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """A loaded adapter: its block on each module that it changes."""

    name: str
    blocks: Mapping[str, Block]


Mixture = Mapping[str, Mixed]
"""By module: what the adapters of a batch's rows do to it."""


class Mixer:
    """The linear modules of a base model, and which adapters are on them."""

    def __init__(self, model: nn.Module) -> None:
        self.linears = {
            name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)
        }
        self._current: Mixture = {}
        # The last adapters that were put side by side: rows come and go more often than adapters.
        self._joined: tuple[tuple[Adapter, ...], Mapping[str, list[Group]]] = ((), {})
        for name, module in self.linears.items():
            module.register_forward_hook(partial(self._adapt, name))

    @contextmanager
    def applied(self, mixture: Mixture) -> Iterator[None]:
        """Let the model's rows go through their adapters inside the block."""
        self._current = mixture
        try:
            yield
        finally:
            self._current = {}

    def mix(self, rows: Sequence[Adapter | None]) -> Mixture:
        """Return what the rows' adapters do, in their order; None: the base model."""
        known = {adapter.name: adapter for adapter in rows if adapter is not None}
        if not known:
            return {}
        used = tuple(known[name] for name in sorted(known))
        places = [-1 if adapter is None else used.index(adapter) for adapter in rows]
        masks: dict[tuple[int, ...], Tensor | None] = {}
        mixture = {}
        for name, groups in self._join(used).items():
            for group in groups:
                if group.ranks not in masks:
                    masks[group.ranks] = _foreign(group.ranks, places, group.down.device)
            blocks = [adapter.blocks.get(name) for adapter in used]
            mixture[name] = Mixed(
                rows=len(rows),
                groups=tuple((group, masks[group.ranks]) for group in groups),
                gain=_by_row([block.gain if block else None for block in blocks], places, 1.0),
                shift=_by_row([block.shift if block else None for block in blocks], places, 0.0),
            )
        return mixture

    def _join(self, used: tuple[Adapter, ...]) -> Mapping[str, list[Group]]:
        if len(used) == 1:
            return _side_by_side(used)  # copies nothing
        if used != self._joined[0]:
            self._joined = (used, _side_by_side(used))
        return self._joined[1]

    def _adapt(self, name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        mixed = self._current.get(name)
        return output if mixed is None else mixed.apply(inputs[0], output)


def _side_by_side(used: tuple[Adapter, ...]) -> Mapping[str, list[Group]]:
    names = dict.fromkeys(name for adapter in used for name in adapter.blocks)
    return {name: side_by_side([adapter.blocks.get(name) for adapter in used]) for name in names}


def _foreign(ranks: tuple[int, ...], places: list[int], device: torch.device) -> Tensor | None:
    """Return which columns are not of the row's adapter, shape (rows, 1, columns); None: all are."""
    owners = torch.repeat_interleave(torch.arange(len(ranks)), torch.tensor(ranks))
    foreign = torch.tensor(places)[:, None, None] != owners
    return foreign.to(device) if foreign.any() else None


def _by_row(values: Sequence[Tensor | None], places: list[int], neutral: float) -> Tensor | None:
    """Return each row's vector, shape (rows, 1, features), `neutral` where its adapter has none; or None."""
    known = next((value for value in values if value is not None), None)
    if known is None:
        return None
    without = torch.full_like(known, neutral)
    table = torch.stack([without if value is None else value for value in [*values, None]])
    # A row without an adapter has the place -1: the last of the table.
    return table[torch.tensor(places, device=table.device)][:, None]
