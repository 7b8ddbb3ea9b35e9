"""Probes: the held-out examples on which a scorer looks at the loss, and the model's state meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from ist_core.errors import IstError, TrainingDiverged
from ist_core.ist.distributed import mean_over_ranks

Batch = TypeVar("Batch")


class Probe(Protocol):
    """Knows the mean loss on the rows of each probe; the number of the probe says which rows."""

    def parts(self, number: int) -> Iterable[Tensor]:
        """Yield the mean loss on the rows of probe `number` in parts (micro-batches) that add up to it.

        Each part is a scalar that can be differentiated before the next one is asked for. A second call with
        the same number looks at the same rows.
        """
        ...


class BatchProbe(Generic[Batch]):
    """A probe that goes around a list of ready batches, `count` of them a probe."""

    def __init__(
        self,
        model: nn.Module,
        batches: Sequence[Batch],
        loss: Callable[[nn.Module, Batch], Tensor],
        count: int = 1,
    ) -> None:
        """Keep `batches`; `loss(model, batch)` is a batch's mean loss.

        Raises:
            IstError: if there is no batch.
        """
        if not batches:
            raise IstError(
                "the probe set is empty, so importance cannot be probed; give at least one batch",
                param="probe",
            )
        self._model = model
        self._batches = batches
        self._loss = loss
        self._count = min(count, len(batches))

    def parts(self, number: int) -> Iterator[Tensor]:
        """Yield the losses of the probe's batches, each divided by their number."""
        first = number * self._count
        for index in range(first, first + self._count):
            yield self._loss(self._model, self._batches[index % len(self._batches)]) / self._count


def probe_loss(probe: Probe, number: int) -> float:
    """Return the loss of probe `number` without gradients, averaged over all ranks.

    Raises:
        TrainingDiverged: if it is not finite.
    """
    with torch.no_grad():
        total = sum(part.item() for part in probe.parts(number))
    value = mean_over_ranks(float(total))
    if not math.isfinite(value):
        raise TrainingDiverged(f"the probe's loss is {value}; lower learning_rate, or use precision float32")
    return value


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside the block `model` is in evaluation mode (no dropout) and runs without torch.compile.

    Compiled layers would be compiled anew for each set of suppressed ones. Every module gets its mode back.
    """
    modes = [(module, module.training) for module in model.modules()]
    compiled = any(module._compiled_call_impl is not None for module, _ in modes)  # noqa: SLF001  # torch tells it nowhere else
    with ExitStack() as stack:
        if compiled:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, training in modes:
                module.training = training
