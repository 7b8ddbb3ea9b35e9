"""How a run does on its validation file: what was measured, which step is best, when it is time to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic

from ist_core.evaluation_spec import EvaluationSpec
from ist_core.objectives.objective import BatchT, ItemT
from ist_core.objectives.task import Task
from ist_core.records import Message
from ist_core.schedule import checkpoint_interval
from ist_core.spec import JobSpec
from ist_core.training_state import TrainingState
from ist_core.validation import Figures, Validation

SAMPLE, FULL = "valid_", "full_valid_"
"""What the figures of both measurements are called in a step's record, before `loss` and the accuracy."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a run's validation loss so far; plain JSON, a part of each checkpoint."""

    before: Figures = field(default_factory=dict)
    """Of the full measurement before the first step; empty if there is none, as `last` and `best`."""
    last: Figures = field(default_factory=dict)
    best: Figures = field(default_factory=dict)
    best_step: int | None = None
    """The step whose full measurement has the lowest loss."""
    lowest: float | None = None
    """The loss that early stopping compares with."""
    waited: int = 0
    """Measurements since that brought no lower one."""
    stopped_early: bool = False
    seconds: float = 0.0
    """Spent on measurements."""


class Judge(Generic[ItemT, BatchT]):
    """Measures after the steps that are to be measured, and decides what follows from it.

    Args:
        validation: None: there is nothing to measure on.
        total: steps of the whole run.
        interval: steps from one checkpoint to the next.
        keep_best: called when the latest step is the best so far.
    """

    def __init__(
        self,
        spec: JobSpec,
        validation: Validation[ItemT, BatchT] | None,
        *,
        total: int,
        interval: int,
        keep_best: Callable[[], None],
    ) -> None:
        self._validation = validation
        self._sampled_every = (spec.evaluation or EvaluationSpec()).interval
        self._stopping = spec.early_stopping
        self._total = total
        self._interval = interval
        self._keep_best = keep_best

    def before(self, standing: Standing) -> tuple[Standing, list[Message]]:
        """Measure before the first step."""
        if self._validation is None or not self._validation.full_rows:
            return standing, []
        figures = self._validation.full()
        text = f"Before training the validation loss is {figures['loss']:.4f}"
        data = {FULL + name: value for name, value in figures.items()}
        return replace(standing, before=figures), [Message(text, data={"step": 0, **data})]

    def after(self, step: int, standing: Standing) -> tuple[Standing, dict[str, float]]:
        """Measure what is due after a step; return the new standing, and what the step's record says of it.

        Raises:
            Stopped: when asked to; nothing has changed then, and the call can be made again.
        """
        validation = self._validation
        if validation is None:
            return standing, {}
        full: Figures = {}
        sample: Figures = {}
        last = step == self._total
        if validation.full_rows and (last or step % self._interval == 0):
            full = validation.full()
        if self._sampled_every and step % self._sampled_every == 0:
            sample = full if full and validation.one_sample else validation.sample()
        standing = self._watch(sample if self._sampled_every else full, standing, last=last)
        if standing.stopped_early and validation.full_rows and not full:
            full = validation.full()
        if full:
            standing = self._compare(step, full, standing)
        told = {SAMPLE + name: value for name, value in sample.items()}
        return standing, told | {FULL + name: value for name, value in full.items()}

    def _watch(self, figures: Figures, standing: Standing, *, last: bool) -> Standing:
        """Count the measurements that bring no lower loss."""
        if self._stopping is None or not figures:
            return standing
        loss = figures["loss"]
        if standing.lowest is None or loss < standing.lowest - self._stopping.min_delta:
            return replace(standing, lowest=loss, waited=0)
        waited = standing.waited + 1
        return replace(standing, waited=waited, stopped_early=waited >= self._stopping.patience and not last)

    def _compare(self, step: int, full: Figures, standing: Standing) -> Standing:
        standing = replace(standing, last=full)
        if standing.best and full["loss"] >= standing.best["loss"]:
            return standing
        self._keep_best()
        return replace(standing, best=full, best_step=step)


def make_judge(
    spec: JobSpec,
    state: TrainingState,
    task: Task[ItemT, BatchT],
    *,
    total: int,
    check_stop: Callable[[], None],
) -> Judge[ItemT, BatchT]:
    """Return the judge of a run of `total` steps."""
    items = task.examples.validation
    validation = None
    if items is not None:
        validation = Validation(state.model, task.objective, items, spec, check_stop=check_stop)
    return Judge(
        spec,
        validation,
        total=total,
        interval=checkpoint_interval(spec, total),
        keep_best=state.keep_best if spec.select_checkpoint == "best" else lambda: None,
    )


def take_best(state: TrainingState, standing: Standing, step: int) -> Message | None:
    """Make the adapter of the best step the model's, if it is to be the result and not that of `step`.

    Returns:
        What to tell of it; None: the adapter stays as it is.
    """
    if not state.best or standing.best_step == step:
        return None
    state.load_adapter(state.best)
    text = f"The adapter of step {standing.best_step} is the result: its validation loss is the lowest"
    figures = {FULL + name: value for name, value in standing.best.items()}
    return Message(text, data={"step": standing.best_step, **figures})
