"""Jobs and their events on the wire: OpenAI's fields first, then ours."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from api.wire.common import WireModel, unix, unix_or_none
from api.wire.evaluation import JobEvaluation, job_evaluation
from ist_core.spec import DpoSpec, JobSpec, SupervisedSpec
from store.queue import Place
from store.tables import Event, Job, State
from store.tables.base import PreciseState
from store.tuned_models import ORGANIZATION

Status = Literal["validating_files", "queued", "running", "succeeded", "failed", "cancelled"]
PriorityName = Literal["low", "normal", "high"]
PRIORITIES: Mapping[PriorityName, int] = MappingProxyType({"low": -10, "normal": 0, "high": 10})
NAME_OF_PRIORITY: Mapping[int, PriorityName] = MappingProxyType(
    {value: name for name, value in PRIORITIES.items()}
)


class JobFailure(WireModel):
    """Why a job failed."""

    code: str
    message: str
    param: str | None


class Hyperparameters(WireModel):
    """The resolved hyperparameters: numbers, never `auto`."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float


class DpoHyperparameters(Hyperparameters):
    """The resolved hyperparameters of preference training."""

    beta: float


class SupervisedMethod(WireModel):
    """What supervised training runs with."""

    hyperparameters: Hyperparameters


class DpoMethod(WireModel):
    """What preference training runs with."""

    hyperparameters: DpoHyperparameters


class MethodOfSupervised(WireModel):
    """The job learns the assistant's turns of conversations."""

    type: Literal["supervised"] = "supervised"
    supervised: SupervisedMethod


class MethodOfDpo(WireModel):
    """The job learns to prefer one answer to another."""

    type: Literal["dpo"] = "dpo"
    dpo: DpoMethod


Method = Annotated[MethodOfSupervised | MethodOfDpo, Field(discriminator="type")]


class JobObject(WireModel):
    """A fine-tuning job."""

    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    finished_at: int | None
    estimated_finish: int | None
    model: str
    fine_tuned_model: str | None
    organization_id: str = ORGANIZATION
    status: Status
    """OpenAI's enum; `state` says precisely what is so."""
    error: JobFailure | None
    training_file: str
    validation_file: str | None
    result_files: list[str]
    trained_tokens: int | None
    hyperparameters: Hyperparameters
    method: Method
    seed: int
    integrations: list[JsonValue]
    metadata: dict[str, str]
    suffix: str | None
    state: PreciseState
    priority: PriorityName | int
    """A number, or its name where it has one."""
    queue_position: int | None
    """Of a queued job: 1 is the next to be taken; null behind the first 500."""
    estimated_start: int | None
    """Of a queued job, as far as running and finished jobs tell."""
    step: int
    total_steps: int | None
    layers: int | None
    started_at: int | None
    spec: JobSpec
    """The job as it runs, complete."""
    evaluation: JobEvaluation | None
    """How it was judged, once it has succeeded; `spec.evaluation` is what was asked for."""
    report: dict[str, JsonValue] | None
    last_seq: int
    """The number of the job's latest event or step record; a cursor for its stream."""


class EventObject(WireModel):
    """A line of a job's log."""

    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: Literal["info", "warn", "error"]
    message: str
    type: Literal["message", "metrics"]
    data: dict[str, JsonValue]


STATUS: Mapping[State, Status] = MappingProxyType(
    {
        State.VALIDATING_FILES: "validating_files",
        State.QUEUED: "queued",
        State.PAUSED: "queued",
        State.RUNNING: "running",
        State.SUCCEEDED: "succeeded",
        State.FAILED: "failed",
        State.CANCELLED: "cancelled",
    }
)
"""OpenAI's enum has no `paused`, and strict clients break on what it has not."""

DEFAULT_LEARNING_RATE: float = JobSpec.model_fields["learning_rate"].default
"""What `learning_rate_multiplier` multiplies."""


def job_object(job: Job, place: Place | None = None) -> JobObject:
    """A row as its wire object; `place` is a queued job's."""
    spec = JobSpec.model_validate(job.spec)
    hyperparameters = hyperparameters_of(spec)
    return JobObject(
        id=job.id,
        created_at=unix(job.created_at),
        finished_at=unix_or_none(job.finished_at),
        estimated_finish=_estimated_finish(job),
        model=job.model,
        fine_tuned_model=job.fine_tuned_model,
        status=STATUS[job.state],
        error=None if job.error is None else JobFailure.model_validate(job.error),
        training_file=job.training_file,
        validation_file=job.validation_file,
        result_files=job.result_files,
        trained_tokens=job.trained_tokens,
        hyperparameters=hyperparameters,
        method=_method(spec, hyperparameters),
        seed=spec.seed,
        integrations=[],
        metadata=job.user_metadata,
        suffix=job.suffix,
        state=job.precise_state,
        priority=NAME_OF_PRIORITY.get(job.priority, job.priority),
        queue_position=None if place is None else place.position,
        estimated_start=None if place is None else unix_or_none(place.estimated_start),
        step=job.step,
        total_steps=job.total_steps,
        layers=job.layers,
        started_at=unix_or_none(job.started_at),
        spec=spec,
        evaluation=job_evaluation(job),
        report=job.report,
        last_seq=job.last_seq,
    )


def hyperparameters_of(spec: JobSpec) -> Hyperparameters:
    """The resolved hyperparameters of a spec."""
    return Hyperparameters(
        n_epochs=spec.n_epochs,
        batch_size=spec.batch_size,
        learning_rate_multiplier=round(spec.learning_rate / DEFAULT_LEARNING_RATE, 9),
    )


def event_object(event: Event) -> EventObject:
    """A row as its wire object."""
    fields: dict[str, Any] = {
        "id": event.id,
        "created_at": unix(event.created_at),
        "level": event.level,
        "message": event.message,
        "type": event.type,
        "data": event.data,
    }
    return EventObject.model_validate(fields)


def _method(spec: JobSpec, hyperparameters: Hyperparameters) -> Method:
    match spec.method:
        case DpoSpec(beta=beta):
            resolved = DpoHyperparameters(**hyperparameters.model_dump(), beta=beta)
            return MethodOfDpo(dpo=DpoMethod(hyperparameters=resolved))
        case SupervisedSpec():
            return MethodOfSupervised(supervised=SupervisedMethod(hyperparameters=hyperparameters))


def _estimated_finish(job: Job) -> int | None:
    """The end, if the remaining steps take as long as the past ones did; None before the first step."""
    if job.state is not State.RUNNING or job.started_at is None or not job.total_steps or not job.step:
        return None
    now = time.time()
    spent = now - job.started_at.timestamp()
    return int(now + spent * (job.total_steps - job.step) / job.step)
