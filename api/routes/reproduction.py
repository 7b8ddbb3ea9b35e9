"""`/v1/fine_tuning/jobs/{id}/reproduction`: all that a job's weights depend on, as a zip."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.errors import bad_request
from api.reproduction import bundle_of
from api.routes.dependencies import ERRORS, Identifier, Tx
from api.routes.jobs import the_job
from store.states import TERMINAL

router = APIRouter(prefix="/fine_tuning/jobs", tags=["fine-tuning"], responses=ERRORS)


@router.get(
    "/{job_id}/reproduction",
    response_class=Response,
    responses={
        200: {
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
            "description": "spec.json, request.json, bundle.json, requirements.txt and README.md",
        }
    },
)
def reproduction(job_id: Identifier, tx: Tx) -> Response:
    """Seed, spec, hashes of data, base model and weights, packages, device and revision of an ended job.

    Its README has the one command that trains the job again and compares the weights.
    """
    job = the_job(tx, job_id)
    if job.state not in TERMINAL:
        raise bad_request(
            f"job {job_id} is {job.state.value}; its reproduction bundle is made when it has ended",
            param="job_id",
            code="job_not_ended",
        )
    return Response(
        bundle_of(tx.tenant, job),
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{job.id}.zip"'},
    )
