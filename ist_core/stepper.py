"""One optimizer step at a time: probe, select, accumulate gradients, clip, update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Generic

import torch
from peft import PeftModel

from ist_core.batches import probe_choice
from ist_core.errors import TrainingDiverged
from ist_core.ist import IST, AdapterLayer, IstRecord
from ist_core.keeping import Keeping
from ist_core.kernels import FastPaths
from ist_core.objectives.objective import BatchT, ItemT, Objective, Settled
from ist_core.optimization import learning_rate, make_optimizer, set_learning_rate
from ist_core.planner import KeptLayers
from ist_core.settled import worth_keeping
from ist_core.spec import JobSpec


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What one optimizer step did."""

    loss: float
    """Mean over the step's supervised tokens or pairs, before the update."""
    learning_rate: float
    grad_norm: float
    """Before clipping."""
    tokens: int
    ist: IstRecord | None
    """None without IST."""
    extra: dict[str, float]
    """What the method tells beside the loss."""


class Stepper(Generic[ItemT, BatchT]):
    """Holds what lasts from step to step: model, adapter layers, `optimizer`, IST.

    Args:
        ist: None updates every layer in every step.
        rows: that are trained on.
        kept: layers whose activations a step keeps for its backward pass; None: all.
        check_stop: called before each probe candidate and each micro-batch; may raise to end the run.
    """

    def __init__(
        self,
        model: PeftModel,
        layers: Sequence[AdapterLayer],
        spec: JobSpec,
        *,
        ist: IST | None,
        objective: Objective[ItemT, BatchT],
        probe: Sequence[ItemT],
        total_steps: int,
        rows: int,
        kept: KeptLayers | None,
        check_stop: Callable[[], None],
    ) -> None:
        self._model = model
        self._spec = spec
        self._ist = ist
        self._objective = objective
        self._probe = probe
        self._total_steps = total_steps
        self._check_stop = check_stop
        self._parameters = [parameter for layer in layers for parameter in layer.parameters]
        self.optimizer = make_optimizer(layers, spec)
        FastPaths(model)
        self._keeping = Keeping(model, layers, kept=kept)
        self._awaits_settling = False
        if ist is not None:
            ist.begin(probe=self, optimizer=self.optimizer)
            self._awaits_settling = worth_keeping(
                steps=total_steps, warmup_steps=ist.warmup_steps, batch_size=spec.batch_size, rows=rows
            )

    @property
    def settled(self) -> Settled | None:
        """What is kept of layers that no later step updates; None: nothing, or there are none yet."""
        return self._objective.settled

    def step(self, step: int, examples: Sequence[ItemT]) -> StepOutcome:
        """Make the optimizer step that follows `step` finished ones.

        Raises:
            TrainingDiverged: if the loss or a gradient is not finite.
        """
        with self._ist.step() if self._ist else nullcontext() as record:
            self._keeping.choose(record)
            self._settle()
            rate = learning_rate(step, self._total_steps, self._spec)
            set_learning_rate(self.optimizer, rate)
            self._model.train()
            self._objective.take_metrics()  # of the probe
            batches = self._micro_batches(examples)
            loss = self._accumulate(batches, step)
            trainable = [parameter for parameter in self._parameters if parameter.requires_grad]
            norm = float(torch.nn.utils.clip_grad_norm_(trainable, self._spec.max_grad_norm))
            if not math.isfinite(norm):
                raise TrainingDiverged(f"the gradient is not finite in step {step + 1}; lower learning_rate")
            # Read before the update is sent to the device: the norm has waited for all that came before.
            metrics = self._objective.take_metrics()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        tokens = sum(batch.size for batch in batches)
        return StepOutcome(loss, rate, norm, tokens, record, metrics)

    def parts(self, number: int) -> Iterator[torch.Tensor]:
        """Yield the mean loss on the rows of probe `number`, micro-batch by micro-batch (`ist.Probe`)."""
        size = self._spec.ist.probe_batch_size if self._spec.ist else 0
        chosen = probe_choice(len(self._probe), size=size, seed=self._spec.seed, number=number)
        batches = self._micro_batches([self._probe[index] for index in chosen])
        count = sum(batch.weight for batch in batches)
        for batch in batches:
            self._check_stop()
            yield self._objective.summed_loss(batch) / count

    def _settle(self) -> None:
        """Tell the objective of layers that no later step updates, as soon as there are some."""
        if self._awaits_settling and self._ist and (depth := self._ist.settled):
            self._objective.settle(depth)
            self._awaits_settling = False

    def _micro_batches(self, examples: Sequence[ItemT]) -> list[BatchT]:
        size = self._spec.micro_batch_size or max(self._spec.batch_size, len(examples))
        return [self._objective.collate(examples[at : at + size]) for at in range(0, len(examples), size)]

    def _accumulate(self, batches: Sequence[BatchT], step: int) -> float:
        """Add up the gradient of the mean loss over all the batches' terms; return that loss."""
        count = sum(batch.weight for batch in batches)
        total = 0.0
        for batch in batches:
            self._check_stop()
            loss = self._objective.summed_loss(batch) / count
            total += _finite(loss, step)
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        return total


def _finite(loss: torch.Tensor, step: int) -> float:
    value = loss.item()
    if not math.isfinite(value):
        advice = "lower learning_rate, or use precision float32"
        raise TrainingDiverged(f"the loss is {value} in step {step + 1}; {advice}")
    return value
