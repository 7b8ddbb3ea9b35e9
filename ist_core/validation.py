"""Measures the validation file's rows: their mean loss, and the share of what came out right.

    loss = sum of the terms' losses / number of terms        accuracy = right terms / number of terms

A term is a supervised token, or a preference pair. Nothing is drawn from the generators that training draws
from, so a run ends with the same weights whether it is measured or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Generic

import torch
from peft import PeftModel

from ist_core.errors import TrainingDiverged
from ist_core.evaluation_spec import EvaluationSpec
from ist_core.ist.probe import evaluating
from ist_core.objectives.objective import BatchT, ItemT, Objective
from ist_core.seeds import stream
from ist_core.spec import JobSpec

Figures = dict[str, float]
"""`loss`, and an accuracy by the name that the method gives it."""


class Validation(Generic[ItemT, BatchT]):
    """The rows that measurements look at: the same ones each time.

    Args:
        items: of every row of the validation file; one or more.
        check_stop: called before each micro-batch; may raise to end the run.
    """

    def __init__(
        self,
        model: PeftModel,
        objective: Objective[ItemT, BatchT],
        items: Sequence[ItemT],
        spec: JobSpec,
        *,
        check_stop: Callable[[], None],
    ) -> None:
        evaluation = spec.evaluation or EvaluationSpec()
        order = drawn_order(len(items), spec.seed)
        self._model = model
        self._objective = objective
        self._items = items
        self._size = spec.micro_batch_size or spec.batch_size
        self._check_stop = check_stop
        self._sample = sorted(order[: evaluation.loss_rows])
        self._full = sorted(order[: evaluation.full_rows])
        self.one_sample = self._sample == self._full
        """Whether both measurements look at the very same rows."""

    @property
    def full_rows(self) -> int:
        """How many rows `full` looks at; it may be none."""
        return len(self._full)

    def sample(self) -> Figures:
        """Measure the rows of the measurement at an interval.

        Raises:
            TrainingDiverged: if their loss is no finite number.
        """
        return self._measure(self._sample)

    def full(self) -> Figures:
        """Measure the rows of the measurement at a checkpoint; raises as `sample` does."""
        return self._measure(self._full)

    def _measure(self, chosen: Sequence[int]) -> Figures:
        # Rows of about the same length go together, as they do in training.
        items = sorted((self._items[index] for index in chosen), key=lambda item: item.length)
        loss, right, terms = 0.0, 0, 0
        with torch.no_grad(), evaluating(self._model):
            for at in range(0, len(items), self._size):
                self._check_stop()
                batch = self._objective.collate(items[at : at + self._size])
                found = self._objective.measure(batch)
                loss, right, terms = loss + found.loss, right + found.right, terms + batch.weight
        if not math.isfinite(loss):
            reason = f"the validation loss is {loss / terms}"
            raise TrainingDiverged(f"{reason}; lower learning_rate, or use precision float32")
        return {"loss": loss / terms, self._objective.accuracy: right / terms}


def drawn_order(rows: int, seed: int) -> list[int]:
    """Return the places of the validation rows in the order in which samples take them."""
    return torch.randperm(rows, generator=stream(seed, "validation")).tolist()
