"""Checkpoints on the wire, in OpenAI's shape."""

from __future__ import annotations

from typing import Literal

from api.wire.common import Identified, WireModel, unix
from api.wire.series import ArtifactObject
from store.checkpoints import adapter_files
from store.tables import Checkpoint, Job
from store.tuned_models import checkpoint_model_id


class CheckpointMetrics(WireModel):
    """The metrics of the checkpoint's step; what was not measured is null."""

    step: float
    train_loss: float | None
    train_mean_token_accuracy: float | None
    valid_loss: float | None
    valid_mean_token_accuracy: float | None
    full_valid_loss: float | None
    full_valid_mean_token_accuracy: float | None


class CheckpointObject(Identified):
    """A checkpoint of a job."""

    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    step_number: int
    metrics: CheckpointMetrics
    resumable: bool
    """Whether the job can go on from it; of the others the adapter alone is kept."""
    files: list[ArtifactObject]
    """The adapter's."""


class DeletedCheckpoint(WireModel):
    """A checkpoint that is gone."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    deleted: Literal[True] = True


def checkpoint_object(checkpoint: Checkpoint, job: Job) -> CheckpointObject:
    """A row as its wire object."""
    told = checkpoint.metrics
    return CheckpointObject(
        id=checkpoint.id,
        created_at=unix(checkpoint.created_at),
        fine_tuned_model_checkpoint=checkpoint_model_id(job, checkpoint.step),
        fine_tuning_job_id=job.id,
        step_number=checkpoint.step,
        metrics=CheckpointMetrics(
            step=checkpoint.step,
            train_loss=told.get("loss"),
            train_mean_token_accuracy=told.get("train_mean_token_accuracy"),
            valid_loss=told.get("valid_loss"),
            valid_mean_token_accuracy=told.get("valid_mean_token_accuracy"),
            full_valid_loss=told.get("full_valid_loss"),
            full_valid_mean_token_accuracy=told.get("full_valid_mean_token_accuracy"),
        ),
        resumable=checkpoint.resumable,
        files=[ArtifactObject.model_validate(file) for file in adapter_files(checkpoint)],
    )
