"""What a job would need: memory by part, steps, tokens and time, and whether a device has it.

fits            peak * 1.2 <= memory of the device: predictions are within 20 % of what was measured
tight           peak <= memory
does_not_fit    peak > memory
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from ist_core.errors import EngineError, IstError
from ist_core.planner.adapters import layer_adapters
from ist_core.planner.devices import Device
from ist_core.planner.judging import judging
from ist_core.planner.lengths import Lengths, MicroBatch, held_out
from ist_core.planner.memory import Memory, Phase, memory_of
from ist_core.planner.passed import Passed, passed_by
from ist_core.planner.selections import Selections, selections
from ist_core.planner.shape import ModelShape
from ist_core.planner.throughput import MeasuredRun, Seconds, judging_work, operations, seconds
from ist_core.schedule import total_steps
from ist_core.spec import JobSpec
from ist_core.widths import PAIRS_STEP, rounded_width

MARGIN = 1.2
"""Room for what the prediction may be wrong by."""

Recomputed = Literal["none", "unselected", "all"]
Verdict = Literal["fits", "tight", "does_not_fit"]


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a job would run and on what, beside its spec."""

    shape: ModelShape
    device: Device
    lengths: Lengths
    validation_rows: int | None = None
    """None: there is no validation file."""
    converts: bool = False
    """Whether the base model is a GGUF file that has not been converted yet."""
    measured: MeasuredRun | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job would need on a device."""

    verdict: Verdict
    memory: Memory
    steps: int
    rows: int
    """Rows that are trained on."""
    tokens: int
    """Expected in all steps together, without padding."""
    seconds: Seconds
    trainable_parameters: int
    total_parameters: int
    """With the adapters."""
    selections: Selections
    passed: Passed | None
    """Layers that settle and are passed by; None: none."""
    operations_per_token: float
    recompute: Recomputed
    """What the spec's `recompute` comes to."""


def plan(spec: JobSpec, setting: Setting) -> Plan:
    """Return what the job `spec` would need; nothing is loaded.

    With `recompute: auto`, as few layers compute again as make it fit.

    Raises:
        AdapterError: if the adapters' targets are not in the model.
        IstError: if sparse tuning is asked for and there is nothing to choose among.
        EngineError: if bfloat16 is asked for on a GPU that has none.
    """
    if spec.recompute != "auto":
        return _plan(spec, setting, spec.recompute)
    levels: list[Recomputed] = ["none", "all"] if spec.ist is None else ["none", "unselected", "all"]
    for level in levels[:-1]:
        found = _plan(spec.model_copy(update={"recompute": level}), setting, level)
        if found.verdict == "fits":
            return found
    return _plan(spec.model_copy(update={"recompute": levels[-1]}), setting, levels[-1])


def _plan(spec: JobSpec, setting: Setting, recompute: Recomputed) -> Plan:
    shape, device = setting.shape, setting.device
    _check(spec, shape, device)
    adapters = layer_adapters(shape, spec.adapter)
    lengths = setting.lengths.cut(spec.max_length)
    probed = spec.ist is not None and spec.ist.probes
    rows, held = held_out(lengths.rows, probed=probed, validation_rows=setting.validation_rows)
    steps = total_steps(spec, rows)
    size = spec.micro_batch_size or spec.batch_size
    padding = _Padding(spec, device)
    mean, probe = padding.of(lengths.mean(size)), _probe_batch(spec, lengths, held)
    chosen = selections(spec.ist, layers=shape.layers, steps=steps)
    passed = passed_by(
        spec,
        shape,
        chosen,
        steps=steps,
        rows=rows,
        tokens=lengths.tokens,
        width=device.width(spec.precision),
    )
    judged = judging(
        spec,
        lengths,
        device,
        steps=steps,
        validation_rows=setting.validation_rows,
        settled_after=chosen.warmup_steps if passed else None,
    )
    memory = memory_of(
        spec,
        shape,
        adapters,
        device,
        phases=[padding.of_phase(phase) for phase in _phases(spec, lengths, chosen, rows)],
        mean=mean,
        probe=padding.of(probe) if probe else None,
        chosen=chosen,
        answering=judged.answering,
        tokens=lengths.rows * lengths.tokens,
        converts=setting.converts,
    )
    probed_rows = min(held, spec.ist.probe_batch_size) if spec.ist else 0
    work = operations(spec, shape, adapters, chosen, mean, passed=passed, probed=probed_rows)
    pairs = 2 if spec.method.type == "dpo" else 1
    step_tokens = pairs * min(spec.batch_size, rows) * lengths.tokens
    trainable = shape.layers * adapters.parameters
    return Plan(
        verdict=_verdict(memory.peak, device.memory_bytes),
        memory=memory,
        steps=steps,
        rows=rows,
        tokens=round(steps * step_tokens),
        seconds=seconds(
            spec,
            shape,
            device,
            step_operations=work,
            judged=judging_work(spec, shape, adapters, judged, mean, passed=passed),
            steps=steps,
            micro_batches=math.ceil(spec.batch_size / size),
            passed=passed,
            measured=setting.measured,
        ),
        trainable_parameters=trainable,
        total_parameters=shape.parameters + trainable,
        selections=chosen,
        passed=passed,
        operations_per_token=work / step_tokens,
        recompute=recompute,
    )


def _check(spec: JobSpec, shape: ModelShape, device: Device) -> None:
    """Refuse what the run itself would refuse when it begins."""
    if spec.ist is not None and shape.layers < 2:
        raise IstError("sparse tuning chooses among layers, and this model has 1; set ist to null")
    if spec.precision == "bfloat16" and device.kind == "cuda" and not device.bfloat16:
        reason = f"the device {device.name} has no bfloat16; use precision float32 or auto"
        raise EngineError(reason, param="precision")


def _phases(spec: JobSpec, lengths: Lengths, chosen: Selections, rows: int) -> list[Phase]:
    """The warm-up, which may be too short to meet the longest rows, and the steps after it."""
    size = spec.micro_batch_size or spec.batch_size
    later = chosen.later or chosen.worst
    phases = [Phase(later, lengths.worst(size))]
    if chosen.warmup_steps:
        met = chosen.warmup_steps * math.ceil(spec.batch_size / size)
        rank = max(1, (math.ceil(rows / size) + 1) // (met + 1))
        phases.append(Phase(chosen.worst, lengths.worst(size, rank=rank)))
    return phases


@dataclass(frozen=True, slots=True)
class _Padding:
    """To which length micro-batches are padded: bfloat16 on a CPU takes few lengths (ist_core/batches.py)."""

    spec: JobSpec
    device: Device

    def of(self, batch: MicroBatch) -> MicroBatch:
        """The batch as it is padded."""
        if self.device.kind != "cpu" or self.device.width(self.spec.precision) == 4:
            return batch
        length = math.ceil(batch.length)
        pairs = self.spec.method.type == "dpo"
        width = math.ceil(length / PAIRS_STEP) * PAIRS_STEP if pairs else rounded_width(length)
        return replace(batch, length=width, padded=batch.padded or width > length)

    def of_phase(self, phase: Phase) -> Phase:
        """The phase with its batch as it is padded."""
        return replace(phase, batch=self.of(phase.batch))


def _probe_batch(spec: JobSpec, lengths: Lengths, held: int) -> MicroBatch | None:
    """The largest micro-batch of a probe: without micro_batch_size all its rows go through at once."""
    if spec.ist is None or not held:
        return None
    rows = min(held, spec.ist.probe_batch_size)
    return lengths.worst(min(rows, spec.micro_batch_size or max(spec.batch_size, rows)))


def _verdict(peak: int, memory: int) -> Verdict:
    if MARGIN * peak <= memory:
        return "fits"
    return "tight" if peak <= memory else "does_not_fit"
