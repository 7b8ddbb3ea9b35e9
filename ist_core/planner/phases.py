"""The phases of a run, a warm-up and what follows it: what a step of each holds at most.

A run's peak is that of one of them: the warm-up updates all layers, but may be too short to meet the longest
rows; the steps after it meet those, and go back through what the policy selects.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ist_core.planner.devices import Device
from ist_core.planner.kept_layers import KeptLayers, said_kept
from ist_core.planner.lengths import Lengths, MicroBatch
from ist_core.planner.selections import Selection, Selections
from ist_core.spec import JobSpec
from ist_core.widths import PAIRS_STEP, rounded_width


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run: its worst selection, and the longest micro-batch that it is expected to meet."""

    selection: Selection
    batch: MicroBatch
    settled: bool = False
    """Whether the layers that it does not select are never selected again."""
    kept: int | None = None
    """Layers that keep their activations; None: all."""


def phases_of(spec: JobSpec, lengths: Lengths, chosen: Selections, rows: int) -> list[Phase]:
    """Return the steps after the warm-up, then the warm-up if there is one; all layers are kept.

    Args:
        rows: that are trained on.
    """
    size = spec.micro_batch_size or spec.batch_size
    later = chosen.later or chosen.worst
    phases = [Phase(later, lengths.worst(size), settled=chosen.settled > 0)]
    if chosen.warmup_steps:
        met = chosen.warmup_steps * math.ceil(spec.batch_size / size)
        rank = max(1, (math.ceil(rows / size) + 1) // (met + 1))
        phases.append(Phase(chosen.worst, lengths.worst(size, rank=rank)))
    return phases


def keep(
    spec: JobSpec, layers: int, phases: Sequence[Phase], fits: Callable[[Phase], bool]
) -> tuple[list[Phase], KeptLayers | None]:
    """Return the phases of `phases_of` with the layers they keep, by the spec's `recompute`, and these.

    Args:
        layers: of the model.
        fits: whether a phase fits the device.
    """
    kept = said_kept(spec, layers)
    if spec.recompute == "auto":
        if all(fits(phase) for phase in phases):
            return list(phases), None
        most = [_most_kept(phase, layers, fits) for phase in phases]
        kept = KeptLayers(warmup=most[-1], later=most[0])
    if kept is None:
        return list(phases), None
    later, *warmup = phases
    found = [replace(later, kept=kept.later), *(replace(phase, kept=kept.warmup) for phase in warmup)]
    return found, kept


def _most_kept(phase: Phase, layers: int, fits: Callable[[Phase], bool]) -> int:
    """Return the largest number of layers that fits; 0: none does."""
    over = bisect_left(range(layers + 1), True, key=lambda kept: not fits(replace(phase, kept=kept)))
    return max(0, over - 1)


def probe_batch(spec: JobSpec, lengths: Lengths, held: int) -> MicroBatch | None:
    """Return the largest micro-batch of a probe: without micro_batch_size all its rows go through at once.

    Args:
        held: rows that are held out for probes.
    """
    if spec.ist is None or not held:
        return None
    rows = min(held, spec.ist.probe_batch_size)
    return lengths.worst(min(rows, spec.micro_batch_size or max(spec.batch_size, rows)))


@dataclass(frozen=True, slots=True)
class Padding:
    """To which length micro-batches are padded: bfloat16 on a CPU takes few lengths (ist_core/batches.py)."""

    spec: JobSpec
    device: Device

    def of(self, batch: MicroBatch) -> MicroBatch:
        """Return the batch as it is padded."""
        if self.device.kind != "cpu" or self.device.width(self.spec.precision) == 4:
            return batch
        length = math.ceil(batch.length)
        pairs = self.spec.method.type == "dpo"
        width = math.ceil(length / PAIRS_STEP) * PAIRS_STEP if pairs else rounded_width(length)
        return replace(batch, length=width, padded=batch.padded or width > length)

    def of_phase(self, phase: Phase) -> Phase:
        """Return the phase with its batch as it is padded."""
        return replace(phase, batch=self.of(phase.batch))
