"""What a stream has told of a job so far, as figures."""

from __future__ import annotations

from isthmus.cli.view.figures import duration_text, number_text, ranges_text, size_text, time_text
from isthmus.cli.view.importance import importance_text
from isthmus.cli.view.sparkline import Series
from isthmus.types.jobs import JobFields
from isthmus.types.series import Metrics
from isthmus.types.stream import Evaluation, Step

SMOOTHING = 0.9
"""Of the time a step takes: the weight of the steps before the last."""


class JobProgress:
    """A job, its latest step and its losses."""

    def __init__(self, job: JobFields) -> None:
        self.job = job
        self.step: Step | None = None
        self.losses = Series()
        self.evaluation: Evaluation | None = None
        self._seconds_per_step: float | None = None
        self._last_of_history = 0

    def take_history(self, metrics: Metrics) -> None:
        """The losses of steps that are long past, by their means."""
        for loss in metrics.series.get("loss", []):
            self.losses.add(loss)
        lowest = [loss for loss in (metrics.low or {}).get("loss", []) if loss is not None]
        self.losses.low = min(lowest, default=self.losses.low)
        self._last_of_history = metrics.steps[-1] if metrics.steps else 0

    def take_step(self, step: Step) -> None:
        """One step more."""
        before, self.step = self.step, step
        if step.step > self._last_of_history:
            self.losses.add(step.metrics.get("loss"))
        seconds = step.metrics.get("step_seconds")
        if seconds is None and before is not None:
            seconds = max(0.0, step.time - before.time)
        if seconds is None:
            return
        known = self._seconds_per_step
        self._seconds_per_step = seconds if known is None else SMOOTHING * known + (1 - SMOOTHING) * seconds

    @property
    def done(self) -> int:
        """Steps that are made."""
        return self.step.step if self.step is not None else self.job.step

    @property
    def total(self) -> int | None:
        """Steps in all; None before the job has begun."""
        return self.job.total_steps

    @property
    def steps_text(self) -> str:
        """`40/170`."""
        return f"{self.done}/{self.total if self.total is not None else '?'}"

    @property
    def loss_text(self) -> str:
        """The loss of the latest step."""
        told = None if self.step is None else self.step.metrics.get("loss")
        return number_text(self.losses.last if told is None else told)

    def figures(self) -> list[str]:
        """Validation loss, time left, speed, memory: what is known of them."""
        found = [valid] if (valid := self._valid_text()) is not None else []
        if self.total is not None and self._seconds_per_step is not None and not self.job.ended:
            found.append(f"ETA {duration_text((self.total - self.done) * self._seconds_per_step)}")
        metrics = self.step.metrics if self.step is not None else {}
        if (speed := metrics.get("tokens_per_second")) is not None:
            found.append(f"{speed:,.0f} tokens/s")
        if (memory := metrics.get("memory_bytes")) is not None:
            found.append(size_text(memory))
        if (rate := metrics.get("learning_rate")) is not None:
            found.append(f"lr {rate:.2g}")
        return found

    def _valid_text(self) -> str | None:
        """The loss of held-out rows when it was measured last, of as many rows as were looked at."""
        measured = self.evaluation.metrics if self.evaluation is not None else {}
        loss = measured.get("full_valid_loss", measured.get("valid_loss"))
        return None if loss is None else f"valid loss {number_text(loss)}"

    def waiting_text(self) -> str:
        """What a job waits for that does not run."""
        job = self.job
        if job.queue_position is None:
            return ""
        start = f", starts about {time_text(job.estimated_start)}" if job.estimated_start else ""
        return f"place {job.queue_position} in the queue{start}"

    def line(self) -> str:
        """The latest step in one line."""
        parts = [f"step {self.steps_text}", f"loss {self.loss_text}", *self.figures()]
        if self.step is not None and self.step.importance:
            parts.append(f"updated {ranges_text(self.step.active)}")
            parts.append(f"most important {importance_text(self.step.importance, self.step.active)}")
        return "  ".join(parts)
