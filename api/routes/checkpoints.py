"""`/v1/fine_tuning/jobs/{id}/checkpoints`: what a job has saved on its way; their archives, their end."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from api.download import download_answers, send_archive
from api.errors import bad_request, not_found
from api.export_ends import drop_files
from api.routes.dependencies import ERRORS, After, Identifier, Limit, OpenServices, Tx
from api.routes.jobs import the_job
from api.transaction import ProjectTransaction
from api.wire.checkpoints import CheckpointObject, DeletedCheckpoint, checkpoint_object
from api.wire.common import ListWithEnds, with_ends
from store.checkpoints import adapter_files, delete_checkpoint, find_checkpoint, list_checkpoints
from store.exports import delete_exports_of
from store.states import TERMINAL
from store.tables import Checkpoint
from store.tuned_models import checkpoint_model_id

router = APIRouter(prefix="/fine_tuning/jobs/{job_id}/checkpoints", tags=["fine-tuning"], responses=ERRORS)


@router.get("")
def checkpoints(
    job_id: Identifier, tx: Tx, after: After = None, limit: Limit = 10
) -> ListWithEnds[CheckpointObject]:
    """A job's checkpoints, newest first."""
    job = the_job(tx, job_id)
    page = list_checkpoints(tx.tenant, job_id, after=after, limit=limit)
    return with_ends([checkpoint_object(row, job) for row in page.rows], has_more=page.has_more)


@router.get(
    "/{checkpoint_id}/archive",
    response_class=StreamingResponse,
    responses=download_answers("A tar of one folder", "application/x-tar"),
)
def archive(
    job_id: Identifier, checkpoint_id: Identifier, request: Request, services: OpenServices, tx: Tx
) -> Response:
    """A checkpoint's adapter, which PEFT loads as it is, as one tar with SHA256SUMS."""
    job = the_job(tx, job_id)
    checkpoint = _checkpoint(tx, job_id, checkpoint_id)
    name = checkpoint_model_id(job, checkpoint.step).replace(":", "-")
    files = adapter_files(checkpoint)
    return send_archive(
        request, services.objects, name, checkpoint.prefix, files, made_at=checkpoint.created_at
    )


@router.delete("/{checkpoint_id}")
def delete(
    job_id: Identifier, checkpoint_id: Identifier, services: OpenServices, tx: Tx
) -> DeletedCheckpoint:
    """Delete a checkpoint of a job that has ended; while a job lives, it may have to go on from it."""
    job = the_job(tx, job_id)
    checkpoint = _checkpoint(tx, job_id, checkpoint_id)
    if job.state not in TERMINAL:
        raise bad_request(
            f"job {job_id} is {job.state.value}; its checkpoints can be deleted when it has ended",
            param="job_id",
            code="job_not_ended",
        )
    delete_checkpoint(tx.tenant, checkpoint)
    for file in checkpoint.files:
        tx.after_commit(partial(services.objects.delete, checkpoint.prefix + file["path"]))
    drop_files(tx, services, delete_exports_of(tx.tenant, [checkpoint_model_id(job, checkpoint.step)]))
    return DeletedCheckpoint(id=checkpoint_id)


def _checkpoint(tx: ProjectTransaction, job_id: str, checkpoint_id: str) -> Checkpoint:
    checkpoint = find_checkpoint(tx.tenant, job_id, checkpoint_id)
    if checkpoint is None:
        raise not_found("checkpoint", checkpoint_id, param="checkpoint_id")
    return checkpoint
