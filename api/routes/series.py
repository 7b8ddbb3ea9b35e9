"""A job's `/metrics`, `/importance` and `/artifacts`: what OpenAI's contract does not have."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from api.download import attachment
from api.errors import not_found
from api.routes.dependencies import ERRORS, Identifier, OpenServices, Tx
from api.routes.jobs import the_job
from api.wire.series import ArtifactList, ArtifactObject, ImportanceObject, MetricsObject
from store.steps import MAX_STEPS, importance_series, metric_series
from store.tuned_models import get_tuned_model_of_job

AfterStep = Annotated[int, Query(ge=0, le=2**31 - 1, description="Steps after this one")]
Steps = Annotated[int, Query(ge=1, le=MAX_STEPS, description="At most so many steps")]

router = APIRouter(prefix="/fine_tuning/jobs/{job_id}", tags=["fine-tuning"], responses=ERRORS)


@router.get("/metrics")
def metrics(
    job_id: Identifier,
    tx: Tx,
    keys: Annotated[
        str | None,
        Query(max_length=1024, pattern=r"^[\w/.,-]+$", description="Names with commas between; absent: all"),
    ] = None,
    after_step: AfterStep = 0,
    limit: Steps = MAX_STEPS,
) -> MetricsObject:
    """Metrics by step."""
    the_job(tx, job_id)
    names = None if keys is None else [name for name in keys.split(",") if name]
    found = metric_series(tx.tenant, job_id, keys=names, after_step=after_step, limit=limit)
    return MetricsObject(job_id=job_id, steps=found.steps, time=found.time, series=found.series)


@router.get("/importance")
def importance(
    job_id: Identifier, tx: Tx, after_step: AfterStep = 0, limit: Steps = MAX_STEPS
) -> ImportanceObject:
    """Each layer's score and chance by step, and the layers updated in it."""
    job = the_job(tx, job_id)
    found = importance_series(tx.tenant, job_id, after_step=after_step, limit=limit)
    return ImportanceObject(
        job_id=job_id,
        layers=job.layers,
        steps=found.steps,
        importance=found.importance,
        active=found.active,
        probabilities=found.probabilities,
    )


@router.get("/artifacts")
def artifacts(job_id: Identifier, tx: Tx) -> ArtifactList:
    """What the job made; empty until it has succeeded."""
    the_job(tx, job_id)
    model = get_tuned_model_of_job(tx.tenant, job_id)
    made = [] if model is None else model.artifacts
    return ArtifactList(data=[ArtifactObject.model_validate(artifact) for artifact in made])


@router.get(
    "/artifacts/{path:path}",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The artifact's bytes"}},
)
def artifact(
    job_id: Identifier, path: Annotated[str, Path(max_length=1024)], services: OpenServices, tx: Tx
) -> StreamingResponse:
    """One artifact's bytes."""
    the_job(tx, job_id)
    model = get_tuned_model_of_job(tx.tenant, job_id)
    # Only a path of the list is ever opened, so none can lead out of the job's own folder.
    found = None if model is None else next((item for item in model.artifacts if item["path"] == path), None)
    if model is None or found is None:
        raise not_found("artifact", path, param="path")
    name = PurePosixPath(path).name
    return attachment(services.objects, model.prefix + path, filename=name, size=found["bytes"])
