"""Speed and memory: each contender in turn with our LoRA, step by step on the same batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.trainer.process import ContenderFailed, Running, running
from benchmarks.trainer.roster import Contender
from benchmarks.trainer.turns import Turn

PROBE_INTERVAL = 10
"""Steps between probes in a job, over which the time of one is spread."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a contender's steps took; a probe's time is spread over the steps from one to the next."""

    name: str
    seconds: float
    """Median of a step."""
    cpu_seconds: float
    examples_per_second: float
    tokens_per_second: float
    peak_bytes: int
    """Above the loaded base model."""
    probe_share: float
    """Of the time, on importance scores."""
    speed: float
    """Examples a second over those of our LoRA: the median over pairs of neighbouring steps."""
    cpu_speed: float
    """The same by processor time, which other processes disturb less."""
    first_losses: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """As JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__}


def measure(
    reference: Running,
    contenders: Sequence[Contender],
    workload: Path,
    folder: Path,
    *,
    python: Path,
    steps: int,
    warm: int,
    say: Callable[[str], None],
) -> tuple[list[Figures], dict[str, str]]:
    """Let each contender take turns with the reference; returns figures, and why some have none."""
    figures, missing = [], {}
    for contender in contenders:
        say(contender.name)
        try:
            with running(contender, workload, folder, python) as other:
                for batch in range(warm + steps if contender.later else warm):
                    other.go(batch)
                pairs = [(reference.go(batch), other.go(batch)) for batch in range(warm, warm + steps)]
                figures.append(figures_of(contender.name, pairs, other.end()["peak_bytes"]))
        except ContenderFailed as error:
            missing[contender.name] = str(error)
    return figures, missing


def own(name: str, turns: Sequence[Turn], peak_bytes: int) -> Figures:
    """The reference's figures, beside itself."""
    return figures_of(name, [(turn, turn) for turn in turns], peak_bytes)


def figures_of(name: str, pairs: Sequence[tuple[Turn, Turn]], peak_bytes: int) -> Figures:
    """Return the figures of a contender, from its steps beside those of the reference on the same batches."""
    turns = [turn for _, turn in pairs]
    probes = [turn.probe_seconds for turn in turns if turn.probe_seconds]
    # Gradients are looked at in every step; the first one tells of none before it.
    interval = 1 if len(probes) >= len(turns) - 1 else PROBE_INTERVAL
    probe = sum(probes) / len(probes) / interval if probes else 0.0
    seconds = median(turn.seconds - turn.probe_seconds for turn in turns) + probe
    share = probe / seconds
    wall = median(ours.seconds / (theirs.seconds - theirs.probe_seconds) for ours, theirs in pairs)
    cpu = median(ours.cpu_seconds / _without_probe(theirs) for ours, theirs in pairs)
    return Figures(
        name=name,
        seconds=seconds,
        cpu_seconds=median(_without_probe(turn) for turn in turns) / (1 - share),
        examples_per_second=median(turn.examples for turn in turns) / seconds,
        tokens_per_second=median(turn.tokens / (turn.seconds - turn.probe_seconds + probe) for turn in turns),
        peak_bytes=peak_bytes,
        probe_share=share,
        speed=wall * (1 - share),
        cpu_speed=cpu * (1 - share),
        first_losses=[turn.loss for turn in turns[:3]],
    )


def _without_probe(turn: Turn) -> float:
    """Processor time of the step alone: a probe takes it in the same proportion as time."""
    return turn.cpu_seconds * (1 - turn.probe_seconds / turn.seconds)
