"""What a job's stream tells, one after the other."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeAlias, TypeVar

from isthmus.errors import UnexpectedAnswer
from isthmus.types.base import Lenient
from isthmus.types.jobs import Checkpoint, JobEvent, JobFields

J = TypeVar("J", bound=JobFields)


class Step(Lenient):
    """One optimizer step."""

    step: int
    time: float
    """Unix seconds."""
    metrics: dict[str, float | None] = {}
    importance: list[float] = []
    """One score a layer; higher is more important."""
    active: list[int] = []
    """The layers updated in this step."""
    probabilities: list[float] | None = None
    """Each layer's chance to be updated."""


class JobUpdate(Lenient, Generic[J]):
    """The job as it is now: first in a stream, and after each line of its log."""

    seq: int
    type: Literal["job"] = "job"
    data: J


class LogLine(Lenient):
    """A line of the job's log; `seq` is a cursor."""

    seq: int
    type: Literal["event"] = "event"
    data: JobEvent


class StepUpdate(Lenient):
    """One optimizer step; `seq` is a cursor."""

    seq: int
    type: Literal["step"] = "step"
    data: Step


class CheckpointUpdate(Lenient):
    """A checkpoint that was stored, just before the line of the log that says so."""

    part_of: int
    """The `seq` of that line."""
    type: Literal["checkpoint"] = "checkpoint"
    data: Checkpoint


class Evaluation(Lenient):
    """What was measured on rows held out of the training, in a step."""

    step: int
    time: float
    metrics: dict[str, float | None]


class EvaluationUpdate(Lenient):
    """A measurement on held-out rows, just before the step that it was made in."""

    part_of: int
    """The `seq` of that step."""
    type: Literal["evaluation"] = "evaluation"
    data: Evaluation


class OtherUpdate(Lenient):
    """What a later service tells that this version does not know; its fields are attributes."""

    seq: int | None = None
    type: str


Happening: TypeAlias = LogLine | StepUpdate | CheckpointUpdate | EvaluationUpdate | OtherUpdate
"""Anything that a stream tells beside the job itself."""
Update: TypeAlias = JobUpdate[J] | Happening
"""Anything that a stream tells."""


def read_frame(frame: dict[str, Any], job_update: type[JobUpdate[J]], context: object) -> Update[J]:
    """A frame as its type; `context` binds the job to its client. Raises UnexpectedAnswer."""
    models: dict[str, type[Update[J]]] = {
        "job": job_update,
        "event": LogLine,
        "step": StepUpdate,
        "checkpoint": CheckpointUpdate,
        "evaluation": EvaluationUpdate,
    }
    try:
        return models.get(frame["type"], OtherUpdate).model_validate(frame, context=context)
    except ValueError as error:
        raise UnexpectedAnswer(f"not a frame of an Isthmus service ({error})") from error
