"""`/v1/fine_tuning/jobs/{id}/samples`: what a job's models answered to rows of its validation file (ours)."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query

from api.download import opened
from api.errors import ApiError, bad_request, not_found
from api.job_models import model_of_job
from api.routes.dependencies import ERRORS, After, Identifier, Limit, OpenServices, Tx
from api.samples import SAMPLES, Wanted, chooser, sample_page
from api.wire.common import ListOf
from api.wire.samples import SampleObject
from store.jobs import find_job
from store.states import TERMINAL
from store.tables import Job
from store.tenant import Tenant

Only = Annotated[
    Wanted | None,
    Query(
        description="wrong: the tuned model's answer has less than the full score; improved, worsened: more, "
        "less than the base model's"
    ),
]
Score = Annotated[
    str | None,
    Query(
        max_length=64,
        pattern=r"^\w+$",
        description="The score that `only` looks at; absent: the mean of all",
    ),
]

router = APIRouter(prefix="/fine_tuning/jobs/{job_id}", tags=["fine-tuning"], responses=ERRORS)


@router.get("/samples")
def samples(
    job_id: Identifier,
    services: OpenServices,
    tx: Tx,
    after: After = None,
    limit: Limit = 20,
    only: Only = None,
    score: Score = None,
) -> ListOf[SampleObject]:
    """Rows of the validation file with the answers of the base model and of the tuned one."""
    with services.database.session() as session:  # not the request's: object storage may take a while
        key = _samples_of(Tenant(session, tx.tenant.project_id), job_id, score)
    with opened(partial(services.objects.open, key)) as lines:
        page = sample_page(lines, after=after, limit=limit, choose=chooser(only, score))
    return ListOf(data=page.rows, has_more=page.has_more)


def _samples_of(tenant: Tenant, job_id: str, score: str | None) -> str:
    """Where the job's samples are in object storage. Raises ApiError."""
    job = find_job(tenant, job_id)
    if job is None:
        raise not_found("job", job_id, param="job_id")
    model = model_of_job(tenant, job_id, param="job_id")
    if model is None or all(artifact["path"] != SAMPLES for artifact in model.artifacts):
        raise _without_samples(job)
    known = ((job.report or {}).get("evaluation") or {}).get("scores", {})
    if score is not None and score not in known:
        raise bad_request(
            f"score: job {job_id} has no score {score!r}; it has: {', '.join(sorted(known))}",
            param="score",
            code="unknown_score",
        )
    return model.prefix + SAMPLES


def _without_samples(job: Job) -> ApiError:
    if job.state not in TERMINAL:
        return bad_request(
            f"job {job.id} is {job.state.value}; its samples are there once it has succeeded",
            param="job_id",
            code="job_not_ended",
        )
    why = "its `evaluation` asked for none" if job.fine_tuned_model else f"it has {job.state.value}"
    return ApiError(404, f"job {job.id} has no samples: {why}", code="samples_not_found", param="job_id")
