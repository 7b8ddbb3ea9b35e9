"""A job's `/metrics`, `/importance` and `/artifacts`: what OpenAI's contract does not have."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.download import attachment, download_answers
from api.errors import bad_request, not_found
from api.export import WRITERS, Columns, Format
from api.job_models import model_of_job
from api.routes.dependencies import ERRORS, Identifier, OpenServices, Tx
from api.routes.jobs import the_job
from api.series_view import (
    importance_answer,
    importance_points_answer,
    metric_points_answer,
    metrics_answer,
)
from api.wire.series import ArtifactList, ArtifactObject, ImportanceObject, MetricsObject
from store.points import MAX_POINTS, importance_points, metric_points
from store.step_pages import Pages
from store.steps import MAX_STEPS, importance_series, metric_series
from store.tuned_models import get_tuned_model_of_job
from store.windows import UnknownMetrics, Window, known_metrics, step_range

Keys = Annotated[
    str | None,
    Query(max_length=1024, pattern=r"^[\w/.,-]+$", description="Names with commas between; absent: all"),
]
Limit = Annotated[
    int | None, Query(ge=1, le=MAX_STEPS, description=f"At most so many steps; absent: {MAX_STEPS}")
]
Points = Annotated[
    int | None,
    Query(
        ge=1,
        le=MAX_POINTS,
        description="Answer with so many points or fewer, each for the same number of steps; "
        "no smallest or largest value is lost. Not together with `limit`",
    ),
]
Step = Annotated[int, Query(ge=0, le=2**31 - 1)]
Moment = Annotated[float | None, Query(ge=0, le=253_402_300_799, allow_inf_nan=False)]
"""Unix seconds, up to the year 9999."""

EXPORTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {media_type: {} for media_type, _ in WRITERS.values()}, "description": "The file"}
}

router = APIRouter(prefix="/fine_tuning/jobs/{job_id}", tags=["fine-tuning"], responses=ERRORS)


def the_window(
    after_step: Annotated[Step, Query(description="Steps after this one")] = 0,
    before_step: Annotated[Step | None, Query(description="Steps before this one")] = None,
    after_time: Annotated[Moment, Query(description="Steps made after this time, in Unix seconds")] = None,
    before_time: Annotated[Moment, Query(description="Steps made before this time, in Unix seconds")] = None,
) -> Window:
    """The steps that a request asks for."""
    return Window(after_step, before_step, after_time, before_time)


Asked = Annotated[Window, Depends(the_window)]


@router.get("/metrics", response_model=MetricsObject)
def metrics(
    job_id: Identifier,
    tx: Tx,
    window: Asked,
    keys: Keys = None,
    points: Points = None,
    limit: Limit = None,
) -> Response:
    """Metrics by step, or, with `points`, their means and extremes by buckets of steps."""
    # Whoever gets steps has the job: it is looked up only where there are none.
    _check_size(points, limit)
    names = None if keys is None else list(dict.fromkeys(name for name in keys.split(",") if name))
    try:
        if points is None:
            found = metric_series(tx.tenant, job_id, keys=names, window=window, limit=limit or MAX_STEPS)
            if not found.steps:
                the_job(tx, job_id)
            return metrics_answer(job_id, found)
        merged = metric_points(tx.tenant, job_id, window, points, keys=names)
        if merged is None:
            the_job(tx, job_id)
        return metric_points_answer(job_id, merged)
    except UnknownMetrics as error:
        raise bad_request(f"keys: {error}", param="keys", code="unknown_metric") from error


@router.get("/importance", response_model=ImportanceObject)
def importance(
    job_id: Identifier, tx: Tx, window: Asked, points: Points = None, limit: Limit = None
) -> Response:
    """Each layer's score, chance and updates by step, or, with `points`, by buckets of steps."""
    job = the_job(tx, job_id)
    _check_size(points, limit)
    if points is None:
        found = importance_series(tx.tenant, job_id, window=window, limit=limit or MAX_STEPS)
        return importance_answer(job_id, job.layers, found)
    merged = importance_points(tx.tenant, job_id, window, points)
    return importance_points_answer(job_id, job.layers, merged)


@router.get("/export", response_class=StreamingResponse, responses=EXPORTS)
def export(
    job_id: Identifier,
    services: OpenServices,
    tx: Tx,
    file_format: Annotated[Format, Query(alias="format", description="Of the file")] = "csv",
) -> StreamingResponse:
    """Every step so far as a file: step, time, attempt, metrics, and by layer score, update and chance."""
    the_job(tx, job_id)
    steps = step_range(tx.tenant, job_id, Window())
    last = 0 if steps is None else steps[-1]
    metrics = tuple(known_metrics(tx.tenant.session, job_id, last))
    pages = Pages(services.database, tx.tenant.project_id, job_id, last, metrics)
    media_type, write = WRITERS[file_format]
    filename = f"{job_id}-steps.{file_format}"
    return StreamingResponse(
        write(pages, Columns(metrics, pages.layers())),
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )


def _check_size(points: int | None, limit: int | None) -> None:
    if points is not None and limit is not None:
        raise bad_request(
            "points: cannot be given together with limit; choose the steps by after_step and before_step",
            param="points",
            code="conflicting_parameters",
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
    responses=download_answers("The artifact's bytes"),
)
def artifact(
    job_id: Identifier,
    path: Annotated[str, Path(max_length=1024)],
    request: Request,
    services: OpenServices,
    tx: Tx,
) -> Response:
    """One artifact's bytes."""
    the_job(tx, job_id)
    model = model_of_job(tx.tenant, job_id, param="path")
    # Only a path of the list is ever opened, so none can lead out of the job's own folder.
    found = None if model is None else next((item for item in model.artifacts if item["path"] == path), None)
    if model is None or found is None:
        raise not_found("artifact", path, param="path")
    name = PurePosixPath(path).name
    key = model.prefix + path
    return attachment(
        request, services.objects, key, filename=name, size=found["bytes"], sha256=found["sha256"]
    )
