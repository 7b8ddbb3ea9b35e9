"""A plan for a request: its model, files and device are looked up, then the planner computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from api.job_admission import DataFiles, check_job, find_data
from api.job_request import resolve
from api.plan_request import PlanRequest
from api.row_lengths import row_lengths
from api.services import Services
from api.wire.jobs import hyperparameters_of
from api.wire.plan import (
    PlanObject,
    planned_change,
    planned_device,
    planned_evaluation,
    planned_lengths,
    planned_memory,
    planned_seconds,
    planned_selection,
)
from ist_core.catalog import ModelSource
from ist_core.errors import UnknownDevice
from ist_core.gguf_cache import needs_conversion
from ist_core.planner import (
    Device,
    Plan,
    Setting,
    again_at_most,
    cpu,
    find_device,
    plan,
    read_config,
    shape_of,
)
from ist_core.planner.advice import best_change
from ist_core.planner.judging import judging
from ist_core.planner.throughput import MeasuredRun
from ist_core.spec import JobSpec
from store.files import find_file
from store.past_runs import PastRun, past_runs
from store.tenant import Tenant

_GIB = 2**30
Precision = Literal["float32", "bfloat16"]
_FORMATS: Mapping[int, Precision] = MappingProxyType({4: "float32", 2: "bfloat16"})
"""Of the base model, by the bytes of an element."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What a plan is made from, and what is not known of it."""

    spec: JobSpec
    setting: Setting
    assumptions: list[str]


def make_plan(body: PlanRequest, services: Services, project_id: str) -> PlanObject:
    """Plan a job of a project; nothing is created, and no weight is read.

    Raises:
        ApiError, EngineError: for what a job would be refused for, and for an unknown device.
    """
    source = check_job(body, services)
    with services.database.session() as session:  # closed before anything is counted
        tenant = Tenant(session, project_id)
        files = find_data(body, tenant, find_file)
        runs = past_runs(tenant)
    known = _look_up(body, services, source, files, runs)
    return _plan_object(body.model, known)


def _look_up(
    body: PlanRequest, services: Services, source: ModelSource, files: DataFiles, runs: list[PastRun]
) -> _Known:
    spec = resolve(body, rows=files.training.rows or 1)
    shape = shape_of(read_config(source))
    device, told = _device(body, runs)
    counted = row_lengths(services, files.training, source, max_length=spec.max_length)
    number_format = _FORMATS[device.width(spec.precision)]
    measured, speed = _measured(body.model, device, number_format, runs)
    converts = needs_conversion(source, services.settings.cache_dir)
    if device.kind == "cpu" and spec.precision == "auto":
        able = "multiplies" if device.bfloat16 else "does not multiply"
        told.append(f"Precision: {number_format}, as the processor of the API's machine {able} in bfloat16")
    told += counted.remarks
    if files.validation is not None:
        told.append("Rows of the validation file are taken to be as long as those of the training file")
    if shape.context is not None and counted.lengths.cut(spec.max_length).longest > shape.context:
        told.append(f"Some rows are longer than the {shape.context} tokens that the model was made for")
    if converts:
        told.append("The model is a GGUF file that no job has used yet: its conversion is part of `loading`")
    setting = Setting(
        shape,
        device,
        counted.lengths,
        validation_rows=files.validation.rows if files.validation else None,
        converts=converts,
        measured=measured,
    )
    return _Known(spec, setting, [*told, speed])


def _device(body: PlanRequest, runs: list[PastRun]) -> tuple[Device, list[str]]:
    """The device, and what was assumed of it."""
    told = []
    if body.device is not None:
        device = find_device(body.device)
    elif (name := next((run.report.get("device") for run in runs), None)) is not None:
        device = find_device(name)
        told.append(f"Device: {name}, where the project's latest job ran; `device` names another")
    else:
        device = cpu()
        told.append("Device: the CPU of the API's machine, as no job of the project has run yet")
    if body.memory_bytes is not None:
        return device.with_memory(body.memory_bytes), told
    size = f"{device.memory_bytes / _GIB:.1f} GiB"
    whose = "of the API's machine" if device.kind == "cpu" else f"of the device {device.name}"
    told.append(f"Budget: all the memory {whose}, {size}; what other programs hold is not taken off")
    return device, told


def _measured(
    model: str, device: Device, precision: Precision, runs: list[PastRun]
) -> tuple[MeasuredRun | None, str]:
    """The rate that the latest run of the model on the device reached, and where the time comes from."""
    for run in runs:
        rate, work = (run.report.get(key) for key in ("tokens_per_second", "operations_per_token"))
        alike = run.model == model and run.report.get("precision") == precision and _ran_on(run, device)
        if alike and rate and work:
            told = f"Time: by the rate that job {run.job_id} reached, a quarter either way"
            return MeasuredRun(tokens_per_second=rate, operations_per_token=work), told
    if device.kind == "cpu":
        rate = f"{device.rate(precision) / device.cores / 1e9:.0f} GFLOP/s"
        return None, f"Time: by {rate} for each of {device.cores} cores, of which a run gets 40 to 160 %"
    return None, f"Time: by the data sheet of {device.name}, of which a run gets 15 to 50 %"


def _ran_on(run: PastRun, device: Device) -> bool:
    try:
        found = find_device(run.report.get("device") or "")
    except UnknownDevice:
        return False
    return (found.name, found.cores) == (device.name, device.cores)


def _plan_object(model: str, known: _Known) -> PlanObject:
    spec, setting = known.spec, known.setting
    found = plan(spec, setting)
    change = best_change(spec, setting)
    lengths = setting.lengths.cut(spec.max_length)
    judged = judging(
        spec, lengths, setting.device, steps=found.steps, validation_rows=setting.validation_rows
    )
    return PlanObject(
        model=model,
        device=planned_device(setting.device),
        verdict=found.verdict,
        peak_bytes=found.memory.peak,
        budget_bytes=setting.device.memory_bytes,
        memory=planned_memory(found.memory),
        precision=_FORMATS[setting.device.width(spec.precision)],
        hyperparameters=hyperparameters_of(spec),
        micro_batch_size=spec.micro_batch_size or spec.batch_size,
        steps=found.steps,
        rows=found.rows,
        tokens=found.tokens,
        seconds=planned_seconds(found),
        evaluation=planned_evaluation(judged),
        lengths=planned_lengths(lengths),
        layers=setting.shape.layers,
        worst_selection=planned_selection(found.selections.worst),
        mean_selection=planned_selection(found.selections.mean),
        trainable_parameters=found.trainable_parameters,
        total_parameters=found.total_parameters,
        change=planned_change(change) if change else None,
        assumptions=known.assumptions + _of_settled(spec, found) + _of_again(setting, found),
    )


def _of_settled(spec: JobSpec, found: Plan) -> list[str]:
    """What is assumed of layers that settle."""
    told = []
    if spec.ist is not None and spec.ist.policy == "settling" and found.selections.later is not None:
        left = round(found.selections.later.active)
        told.append(f"Layers: {left} are left after the warm-up, as they would be if all were as important")
    if (passed := found.passed) is not None:
        size = f"{passed.disk_bytes / 1e6:.1f} MB"
        told.append(
            f"Disk: there is room for {size}, what the {passed.layers} settled layers make of all rows; "
            "half of what is free is taken at most"
        )
    return told


def _of_again(setting: Setting, found: Plan) -> list[str]:
    """How many layers compute again for the backward pass."""
    warmup, later = again_at_most(found.kept, found.selections)
    if not warmup + later:
        return []
    told = f"{later} of {setting.shape.layers} layers compute again for the backward pass"
    if found.selections.warmup_steps:
        told = (
            f"{warmup} of {setting.shape.layers} layers compute again in a step of the warm-up, {later} later"
        )
    return [f"Memory: {told}, which takes time and changes no weight"]
