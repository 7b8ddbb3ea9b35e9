"""`POST /v1/fine_tuning/plan`: what a job would need, before it is created (ours). Planning is a read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from api.auth import Caller, require_reader
from api.plan_request import PlanRequest
from api.planning import make_plan
from api.routes.dependencies import ERRORS, OpenServices
from api.wire.plan import PlanObject

router = APIRouter(prefix="/fine_tuning", tags=["fine-tuning"], responses=ERRORS)


@router.post("/plan")
def plan(
    body: PlanRequest, services: OpenServices, caller: Annotated[Caller, Depends(require_reader)]
) -> PlanObject:
    """Plan a job: memory by part, time, whether it fits, and the smallest change that would make it fit.

    The body is a new job's, with a `device` or a budget of `memory_bytes`. What a job would be refused for is
    refused here; a key with the scope `read` may ask, and a full quota is no obstacle.
    """
    return make_plan(body, services, caller.holder.project_id)
