"""What a run's steps took, and what they took more in the service than in the engine alone."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.table import Target, section

LIMIT = 0.02


@dataclass(frozen=True, slots=True)
class Run:
    """One run's steps, from the first on."""

    times: list[float]
    """When each was over, before it was told; Unix seconds."""
    seconds: list[float]
    """What each took by itself."""
    losses: list[float]
    processor: float
    """Processor seconds of the whole machine in the span."""

    @property
    def span(self) -> float:
        """Seconds from the end of step 1 to the end of the last one."""
        return self.times[-1] - self.times[0]

    def gap(self, step: int) -> float:
        """Seconds between step `step` (from 1) and the next: it is told, and a checkpoint may be written."""
        return self.times[step] - self.times[step - 1] - self.seconds[step]


@dataclass(frozen=True, slots=True)
class Pair:
    """The same job in both ways, one after the other; the shares are of the engine's span.

    Args:
        checkpoints: after which steps the service's run wrote one.
    """

    alone: Run
    served: Run
    checkpoints: Sequence[int]

    @property
    def overhead(self) -> float:
        """What the steps took longer in the service."""
        return self.served.span / self.alone.span - 1

    @property
    def processor(self) -> float:
        """What the machine's processors were busy longer."""
        return self.served.processor / self.alone.processor - 1

    @property
    def at_checkpoints(self) -> float:
        """Of the overhead: steps that wait while a checkpoint is written."""
        return sum(self._waits(step) for step in self.checkpoints) / self.alone.span

    @property
    def at_records(self) -> float:
        """Of the overhead: steps that wait while a record is handed over, and nothing else."""
        return sum(self._waits(step) for step in self._steps(checkpoint=False)) / self.alone.span

    @property
    def after_checkpoints(self) -> float:
        """Of the overhead: steps that are slower because a checkpoint is flushed and uploaded beside them."""
        return sum(self._slower(step + 1) for step in self.checkpoints) / self.alone.span

    @property
    def elsewhere(self) -> float:
        """Of the overhead: all other steps that are slower, or faster; this is where noise is, too."""
        return sum(self._slower(step + 1) for step in self._steps(checkpoint=False)) / self.alone.span

    @property
    def same_losses(self) -> bool:
        """Whether both made the very same steps."""
        return self.alone.losses == self.served.losses

    def _steps(self, *, checkpoint: bool) -> list[int]:
        """The steps before the last that a checkpoint follows, or the others."""
        return [step for step in range(1, len(self.alone.times)) if (step in self.checkpoints) is checkpoint]

    def _waits(self, step: int) -> float:
        return self.served.gap(step) - self.alone.gap(step)

    def _slower(self, step: int) -> float:
        return self.served.seconds[step - 1] - self.alone.seconds[step - 1]


PARTS: dict[str, Callable[[Pair], float]] = {
    "overhead": lambda pair: pair.overhead,
    "steps wait for a checkpoint to be written": lambda pair: pair.at_checkpoints,
    "steps wait for records to be handed over": lambda pair: pair.at_records,
    "steps right after a checkpoint are slower": lambda pair: pair.after_checkpoints,
    "other steps are slower (noise is here, too)": lambda pair: pair.elsewhere,
    "processor time of the whole machine": lambda pair: pair.processor,
}
"""What is told of each pair; the second to the fifth make up the first."""


def medians(pairs: Sequence[Pair]) -> dict[str, float]:
    """Each part's median over the pairs."""
    return {name: statistics.median(part(pair) for pair in pairs) for name, part in PARTS.items()}


def targets(pairs: Sequence[Pair]) -> list[Target]:
    """What was aimed at."""
    value = medians(pairs)["overhead"]
    name = "the service around the trainer, seconds of the steps over the engine alone, less 1"
    return [Target(name, value, f"<= {LIMIT}", value <= LIMIT)]


def table(pairs: Sequence[Pair]) -> str:
    """All parts, pair by pair, below each other."""
    middle = medians(pairs)
    head = ["median", *(f"pair {number}" for number in range(1, len(pairs) + 1))]
    rows = [
        [name, *(f"{100 * value:+.2f} %" for value in (middle[name], *map(part, pairs)))]
        for name, part in PARTS.items()
    ]
    spans = [f"{pair.alone.span:.1f} / {pair.served.span:.1f} s" for pair in pairs]
    rows.append(["steps' seconds, alone / in the service", "", *spans])
    return section("of the engine's time", head, rows)


def as_json(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Medians, targets, and the steps of every run."""
    return {
        "shares": medians(pairs),
        "same_losses": all(pair.same_losses for pair in pairs),
        "targets": [target.row() for target in targets(pairs)],
        "pairs": [asdict(pair) for pair in pairs],
    }
