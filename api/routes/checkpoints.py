"""`/v1/fine_tuning/jobs/{id}/checkpoints`: what a job has saved on its way."""

from __future__ import annotations

from fastapi import APIRouter

from api.routes.dependencies import ERRORS, After, Identifier, Limit, Tx
from api.routes.jobs import the_job
from api.wire.checkpoints import CheckpointObject, checkpoint_object
from api.wire.common import ListWithEnds, with_ends
from store.checkpoints import list_checkpoints

router = APIRouter(prefix="/fine_tuning/jobs/{job_id}", tags=["fine-tuning"], responses=ERRORS)


@router.get("/checkpoints")
def checkpoints(
    job_id: Identifier, tx: Tx, after: After = None, limit: Limit = 10
) -> ListWithEnds[CheckpointObject]:
    """A job's checkpoints, newest first."""
    job = the_job(tx, job_id)
    page = list_checkpoints(tx.tenant, job_id, after=after, limit=limit)
    return with_ends([checkpoint_object(row, job) for row in page.rows], has_more=page.has_more)
