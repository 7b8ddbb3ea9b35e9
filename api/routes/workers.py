"""`/v1/fine_tuning/workers`: the processes that train (ours)."""

from __future__ import annotations

from fastapi import APIRouter

from api.routes.dependencies import ERRORS, Tx
from api.wire.common import ListOf
from api.wire.workers import WorkerObject, worker_object
from store.workers import list_workers

router = APIRouter(prefix="/fine_tuning/workers", tags=["fine-tuning"], responses=ERRORS)


@router.get("")
def list_all(tx: Tx) -> ListOf[WorkerObject]:
    """List every worker of the service. Of another project's job it is told only that there is one."""
    return ListOf(data=[worker_object(seen) for seen in list_workers(tx.tenant)], has_more=False)
