"""`GET /v1/fine_tuning/jobs`: a project's jobs, page by page, all or some of them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from api.errors import bad_request
from api.job_view import view_jobs
from api.routes.dependencies import ERRORS, After, Limit, Tx
from api.wire.common import ListOf
from api.wire.jobs import JobObject
from store.job_list import MIN_SEARCH, JobFilter, Order, list_jobs
from store.tables.base import PreciseState

METADATA_FILTER = re.compile(r"metadata\[(.+)\]", re.DOTALL)
NO_NUL = r"^[^\x00]+$"

METADATA_SCHEMA: dict[str, Any] = {
    "parameters": [
        {
            "name": "metadata",
            "in": "query",
            "required": False,
            "style": "deepObject",
            "explode": True,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
            "description": "Keeps the jobs whose metadata hold all these pairs: `metadata[team]=search`",
        }
    ]
}

States = Annotated[
    list[PreciseState] | None,
    Query(max_length=10, description="Keeps the jobs in one of these: `state=queued&state=running`"),
]
Model = Annotated[
    str | None, Query(max_length=256, pattern=NO_NUL, description="Keeps the jobs of this base model")
]
Search = Annotated[
    str | None,
    Query(
        min_length=MIN_SEARCH,
        max_length=128,
        pattern=NO_NUL,
        description="Keeps the jobs with this text in id, suffix, model or fine_tuned_model, in any case",
    ),
]
ByTime = Annotated[Order, Query(description="By time of creation: `desc` is newest first")]

router = APIRouter(prefix="/fine_tuning/jobs", tags=["fine-tuning"], responses=ERRORS)


@router.get("", openapi_extra=METADATA_SCHEMA)
def list_all(
    request: Request,
    tx: Tx,
    after: After = None,
    limit: Limit = 20,
    order: ByTime = "desc",
    state: States = None,
    model: Model = None,
    search: Search = None,
) -> ListOf[JobObject]:
    """List jobs, newest first."""
    only = JobFilter(states=state or (), model=model, metadata=_metadata_filter(request), search=search)
    page = list_jobs(tx.tenant, after=after, limit=limit, order=order, only=only)
    return ListOf(data=view_jobs(tx.tenant.session, page.rows), has_more=page.has_more)


def _metadata_filter(request: Request) -> dict[str, str]:
    pairs = {}
    for name, value in request.query_params.multi_items():
        if match := METADATA_FILTER.fullmatch(name):
            if "\0" in name or "\0" in value:
                raise bad_request(
                    "metadata: a filter holds a NUL character", param="metadata", code="invalid_value"
                )
            pairs[match[1]] = value
    return pairs
