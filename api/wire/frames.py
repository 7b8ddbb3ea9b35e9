"""Frames of a job's stream on the wire: the same over WebSocket and as Server-Sent Events."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.wire.checkpoints import CheckpointObject
from api.wire.common import ErrorDetail, WireModel
from api.wire.jobs import EventObject, JobObject
from store.tables import StepRecord

HELD_OUT = (
    "valid_loss",
    "valid_mean_token_accuracy",
    "valid_reward_accuracy",
    "full_valid_loss",
    "full_valid_mean_token_accuracy",
    "full_valid_reward_accuracy",
    "probe_loss",
)
"""The metrics of a step that were measured on rows held out of the training."""


class StepObject(WireModel):
    """One optimizer step."""

    step: int
    time: float
    metrics: dict[str, float | None]
    importance: list[float]
    active: list[int]
    probabilities: list[float] | None
    """Each layer's chance to be updated; null: it was not told."""


class EvaluationObject(WireModel):
    """What was measured on rows held out of the training, in a step."""

    step: int
    time: float
    metrics: dict[str, float | None]


class JobFrame(WireModel):
    """The job as it is now: first in the stream, and again when events have told of a change."""

    seq: int
    type: Literal["job"] = "job"
    data: JobObject


class EventFrame(WireModel):
    """A line of the job's log; `seq` is a cursor."""

    seq: int
    type: Literal["event"] = "event"
    data: EventObject


class StepFrame(WireModel):
    """One optimizer step; `seq` is a cursor."""

    seq: int
    type: Literal["step"] = "step"
    data: StepObject


class CheckpointFrame(WireModel):
    """A checkpoint that was stored, just before the event that says so."""

    part_of: int
    """The `seq` of that event: what was seen of a number comes again when the stream broke off before it."""
    type: Literal["checkpoint"] = "checkpoint"
    data: CheckpointObject


class EvaluationFrame(WireModel):
    """A measurement on held-out rows, just before the step that it was made in."""

    part_of: int
    """The `seq` of that step, as in a checkpoint's frame."""
    type: Literal["evaluation"] = "evaluation"
    data: EvaluationObject


class EndFrame(WireModel):
    """The job has ended and all was sent; close code 1000 follows."""

    type: Literal["end"] = "end"


class ErrorFrame(WireModel):
    """The stream was refused; a close code of 4400, 4401, 4403 or 4404 follows, or 1011 (try again)."""

    type: Literal["error"] = "error"
    error: ErrorDetail


StreamFrame = Annotated[
    JobFrame | EventFrame | StepFrame | CheckpointFrame | EvaluationFrame | EndFrame | ErrorFrame,
    Field(discriminator="type"),
]


def step_object(record: StepRecord) -> StepObject:
    """A row as its wire object."""
    return StepObject(
        step=record.step,
        time=record.time.timestamp(),
        metrics=record.metrics,
        importance=record.importance,
        active=record.active,
        probabilities=record.probabilities,
    )


def evaluation_object(record: StepRecord) -> EvaluationObject | None:
    """What a step's row tells of held-out rows; None: nothing."""
    metrics = {name: record.metrics[name] for name in HELD_OUT if name in record.metrics}
    if not metrics:
        return None
    return EvaluationObject(step=record.step, time=record.time.timestamp(), metrics=metrics)
