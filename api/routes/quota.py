"""`/v1/quota`: what the caller's own project may have, and what it has."""

from __future__ import annotations

from fastapi import APIRouter

from api.routes.dependencies import ERRORS, Tx
from api.wire.organization import QuotaObject, quota_object
from store.quotas import quota_of

router = APIRouter(prefix="/quota", tags=["organization"], responses=ERRORS)


@router.get("")
def retrieve(tx: Tx) -> QuotaObject:
    """The limits of the project that the key belongs to, and its use of them."""
    return quota_object(tx.tenant.project_id, *quota_of(tx.tenant))
