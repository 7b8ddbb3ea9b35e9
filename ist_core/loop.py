"""A run's optimizer steps, one after the other: counted, told, and checkpointed in between."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Generic

from ist_core.artifacts import StepTable
from ist_core.batches import epoch_order
from ist_core.checkpoint_folder import CheckpointFolder
from ist_core.errors import StorageError
from ist_core.memory import PeakMemory
from ist_core.objectives.objective import BatchT, ItemT
from ist_core.progress import Progress, active_layers
from ist_core.records import Checkpointed, Emitted, Message, StepRecord
from ist_core.schedule import checkpoint_interval
from ist_core.spec import JobSpec
from ist_core.standing import Judge
from ist_core.stepper import Stepper
from ist_core.stopping import StopCheck, Stopped
from ist_core.training_state import TrainingState


class Loop(Generic[ItemT, BatchT]):
    """Makes the steps that a run still has to make.

    Args:
        judge: measures after the steps that are to be measured.
        progress: the steps made so far; counted on.
        table: takes a line a step.
    """

    def __init__(
        self,
        spec: JobSpec,
        state: TrainingState,
        stepper: Stepper[ItemT, BatchT],
        *,
        judge: Judge[ItemT, BatchT],
        progress: Progress,
        table: StepTable,
        checkpoints: CheckpointFolder,
        memory: PeakMemory,
        emit: Callable[[Emitted], None],
        check_stop: StopCheck,
    ) -> None:
        self._spec = spec
        self._state = state
        self._stepper = stepper
        self._judge = judge
        self._progress = progress
        self._layers = len(state.layers)
        self._table = table
        self._checkpoints = checkpoints
        self._memory = memory
        self._emit = emit
        self._check_stop = check_stop
        self._earlier_peak = progress.peak_memory_bytes
        self._metrics: dict[str, float] = {}
        self._checkpointed: dict[str, float] = {}
        # A run that is stopped while both models answer then goes on with the answers.
        self._answers_follow = spec.evaluation is not None and spec.evaluation.rows > 0

    def to_end(self, examples: Sequence[ItemT], total: int) -> None:
        """Make the steps up to `total`, or until the validation loss falls no more.

        Raises:
            Stopped: when asked to; what was done is then in a checkpoint.
        """
        first = self._progress.steps
        if first == 0:
            self._measure_before()
        self._begin = time.perf_counter() - self._progress.seconds
        self._snapshot = self._state.snapshot()
        try:
            self._make_steps(examples, total)
        except Stopped:
            if self._progress.steps > first:
                self._checkpoint()
            self._tell_of_checkpoint(wait=True)
            raise
        except BaseException:
            with suppress(StorageError):  # the error that is on its way says more
                self._tell_of_checkpoint(wait=True)
            raise
        if self._answers_follow and self._progress.steps > first:
            self._checkpoint()
        self._tell_of_checkpoint(wait=True)

    def _make_steps(self, examples: Sequence[ItemT], total: int) -> None:
        interval = checkpoint_interval(self._spec, total)
        self._tell()
        for batch in islice(_batches(examples, self._spec, total), self._progress.steps, None):
            if self._progress.standing.stopped_early:
                break
            self._check_stop()
            self._step(batch, math.ceil(len(examples) / self._spec.batch_size))
            self._tell_of_settling()
            self._tell()
            self._tell_of_warmup(total)
            self._tell_of_checkpoint(wait=False)
            if self._progress.steps % interval == 0 and self._progress.steps < total:
                self._checkpoint()

    def _measure_before(self) -> None:
        begin = time.perf_counter()
        standing, messages = self._judge.before(self._progress.standing)
        self._progress.standing = replace(standing, seconds=time.perf_counter() - begin)
        for message in messages:
            self._emit(message)

    def _step(self, batch: list[ItemT], steps_per_epoch: int) -> None:
        start = time.perf_counter()
        outcome = self._stepper.step(self._progress.steps, batch)
        # A step that is broken off has drawn from the generators, so a checkpoint needs them as they were.
        self._snapshot = self._state.snapshot()
        now = time.perf_counter()
        self._progress.seconds = now - self._begin
        self._progress.peak_memory_bytes = max(self._earlier_peak, self._memory.peak_bytes())
        self._metrics = self._progress.count(
            outcome, layers=self._layers, step_seconds=now - start, steps_per_epoch=steps_per_epoch
        )
        told = outcome.ist
        self._progress.untold = StepRecord(
            step=self._progress.steps,
            time=time.time(),
            metrics=self._metrics,
            importance=told.scores if told else (0.0,) * self._layers,
            active=active_layers(outcome, self._layers),
            probabilities=told.probabilities if told else (1.0,) * self._layers,
        )

    def _tell(self) -> None:
        """Measure what is due after the latest step, and tell of it, unless that is done."""
        record = self._progress.untold
        if record is None:
            return
        standing = self._progress.standing
        begin = time.perf_counter()
        standing, figures = self._judge.after(record.step, standing)
        spent = time.perf_counter() - begin
        self._begin += spent
        self._progress.standing = replace(standing, seconds=standing.seconds + spent)
        self._progress.untold = None
        self._metrics = record.metrics | figures
        record = replace(record, metrics=self._metrics)
        self._table.write(record)
        self._emit(record)
        if standing.stopped_early:
            text = (
                f"Stopped early: the validation loss was no lower in {standing.waited} measurements in a row"
            )
            self._emit(Message(text, data={"step": record.step, "lowest_loss": standing.lowest}))

    def _tell_of_warmup(self, total: int) -> None:
        ist, steps = self._state.ist, self._progress.steps
        if ist and steps == ist.warmup_steps < total:
            text = f"Warm-up ends: from now on {ist.update_count} of {self._layers} layers are updated a step"
            self._emit(Message(text, data={"step": steps}))

    def _tell_of_settling(self) -> None:
        """Tell in the first step that passes layers by; a run that is resumed later does not repeat it."""
        ist, settled = self._state.ist, self._stepper.settled
        if ist and settled and self._progress.steps == ist.warmup_steps + 1:
            layers = "Layer 0 has" if settled.layers == 1 else f"Layers 0 to {settled.layers - 1} have"
            text = f"{layers} settled: what they make of a row is made once and kept"
            self._emit(Message(text, data={"step": ist.warmup_steps, "layers": settled.layers}))

    def _checkpoint(self) -> None:
        """Begin the checkpoint of the latest step, unless that is done."""
        if self._checkpoints.newest_step != self._progress.steps:
            self._tell_of_checkpoint(wait=True)
            self._checkpoints.begin(self._progress, self._snapshot)
            self._checkpointed = self._metrics

    def _tell_of_checkpoint(self, *, wait: bool) -> None:
        """Tell of the checkpoint that was begun last, once it is whole."""
        step, path = self._checkpoints.newest_step, self._checkpoints.finish(wait=wait)
        if step is not None and path is not None:
            self._emit(Checkpointed(step, path, self._checkpointed))


def _batches(examples: Sequence[ItemT], spec: JobSpec, total: int) -> Iterator[list[ItemT]]:
    """Yield the examples of each step, epoch after epoch."""
    lengths = [example.length for example in examples]
    made = 0
    for epoch in range(spec.n_epochs):
        for batch in epoch_order(lengths, batch_size=spec.batch_size, seed=spec.seed, epoch=epoch):
            if made == total:
                return
            made += 1
            yield [examples[index] for index in batch]
