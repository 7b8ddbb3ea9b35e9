"""Which layers keep their activations for the backward pass, and which compute them again there.

A layer that computes again keeps its input alone. It is torch's checkpoint, layer by layer: here the set
of layers changes from step to step, with the layers that the step updates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ist_core.kernels.forwards import replace
from ist_core.kernels.packing import PackedRows, packed_rows, reading

_AGAIN: ContextVar[bool] = ContextVar("recomputing", default=False)


def recomputing() -> bool:
    """Whether a layer is computing again for its backward pass, so that its output is not looked at."""
    return _AGAIN.get()


class Recompute:
    """The decoder layers of a model that compute again; none until `choose`.

    Args:
        random: whether layers draw random numbers (dropout), which must then be the same ones again.
    """

    def __init__(self, layers: nn.ModuleList, *, random: bool) -> None:
        self._random = random
        self._chosen: frozenset[int] = frozenset()
        self._restore = [
            replace(layer, self._forward(index, layer.forward)) for index, layer in enumerate(layers)
        ]

    def choose(self, layers: Collection[int]) -> None:
        """Let the layers at these positions compute again, and no others."""
        self._chosen = frozenset(layers)

    def release(self) -> None:
        """Give every layer its own forward back."""
        for restore in self._restore:
            restore()

    def _forward(self, index: int, plain: Any) -> Any:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if index not in self._chosen or not torch.is_grad_enabled():
                return plain(*args, **kwargs)
            return checkpoint(
                plain,
                *args,
                use_reentrant=False,
                preserve_rng_state=self._random,
                context_fn=_contexts,
                **kwargs,
            )

        return forward


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _again(packed_rows())


@contextmanager
def _again(rows: PackedRows | None) -> Iterator[None]:
    token = _AGAIN.set(True)
    try:
        with reading(rows):
            yield
    finally:
        _AGAIN.reset(token)
