"""What a job would need: memory by part, steps, tokens and time, and whether a device has it.

fits            peak * 1.2 <= memory of the device: predictions are within 20 % of what was measured
tight           peak <= memory
does_not_fit    peak > memory
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ist_core.errors import EngineError, IstError
from ist_core.planner.adapters import layer_adapters
from ist_core.planner.devices import Device
from ist_core.planner.judging import judging
from ist_core.planner.kept_layers import KeptLayers, mean_again
from ist_core.planner.lengths import Lengths, held_out
from ist_core.planner.memory import Memory, memory_of
from ist_core.planner.passed import Passed, passed_by
from ist_core.planner.phases import Padding, Phase, keep, phases_of, probe_batch
from ist_core.planner.selections import Selections, selections
from ist_core.planner.shape import ModelShape
from ist_core.planner.throughput import MeasuredRun, Seconds, judging_work, operations, seconds
from ist_core.schedule import total_steps
from ist_core.spec import JobSpec

MARGIN = 1.2
"""Room for what the prediction may be wrong by."""

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
    kept: KeptLayers | None
    """What the spec's `recompute` comes to; None: no layer computes again."""


def plan(spec: JobSpec, setting: Setting) -> Plan:
    """Return what the job `spec` would need; nothing is loaded.

    With `recompute: auto`, as few layers compute again as make it fit.

    Raises:
        AdapterError: if the adapters' targets are not in the model.
        IstError: if sparse tuning is asked for and there is nothing to choose among.
        EngineError: if bfloat16 is asked for on a GPU that has none.
    """
    shape, device = setting.shape, setting.device
    _check(spec, shape, device)
    adapters = layer_adapters(shape, spec.adapter)
    lengths = setting.lengths.cut(spec.max_length)
    probed = spec.ist is not None and spec.ist.probes
    rows, held = held_out(lengths.rows, probed=probed, validation_rows=setting.validation_rows)
    steps = total_steps(spec, rows)
    size = spec.micro_batch_size or spec.batch_size
    padding = Padding(spec, device)
    mean, probe = padding.of(lengths.mean(size)), probe_batch(spec, lengths, held)
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

    def needed(phases: Sequence[Phase]) -> Memory:
        return memory_of(
            spec,
            shape,
            adapters,
            device,
            phases=phases,
            mean=Phase(chosen.mean, mean, kept=phases[0].kept),
            probe=padding.of(probe) if probe else None,
            chosen=chosen,
            answering=judged.answering,
            tokens=lengths.rows * lengths.tokens,
            converts=setting.converts,
        )

    def fits(phase: Phase) -> bool:
        return _verdict(needed([phase]).peak, device.memory_bytes) == "fits"

    phases = [padding.of_phase(phase) for phase in phases_of(spec, lengths, chosen, rows)]
    phases, kept = keep(spec, shape.layers, phases, fits)
    memory = needed(phases)
    probed_rows = min(held, spec.ist.probe_batch_size) if spec.ist else 0
    again = mean_again(kept, chosen, steps=steps)
    work = operations(spec, shape, adapters, chosen, mean, again=again, passed=passed, probed=probed_rows)
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
        kept=kept,
    )


def _check(spec: JobSpec, shape: ModelShape, device: Device) -> None:
    """Refuse what the run itself would refuse when it begins."""
    if spec.ist is not None and shape.layers < 2:
        raise IstError("sparse tuning chooses among layers, and this model has 1; set ist to null")
    if spec.precision == "bfloat16" and device.kind == "cuda" and not device.bfloat16:
        reason = f"the device {device.name} has no bfloat16; use precision float32 or auto"
        raise EngineError(reason, param="precision")


def _verdict(peak: int, memory: int) -> Verdict:
    if MARGIN * peak <= memory:
        return "fits"
    return "tight" if peak <= memory else "does_not_fit"
