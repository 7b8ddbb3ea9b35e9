"""The model that a job has made, as clients find it."""

from __future__ import annotations

from datetime import UTC

from api.errors import ApiError
from store.tables import TunedModel
from store.tenant import Tenant
from store.tuned_models import deletion_time, get_tuned_model_of_job


def model_of_job(tenant: Tenant, job_id: str, *, param: str) -> TunedModel | None:
    """The model of a job of the project; None: there is none (yet). Raises ApiError 404 for a deleted one."""
    model = get_tuned_model_of_job(tenant, job_id)
    if model is None and (when := deletion_time(tenant, job_id)) is not None:
        raise ApiError(
            404,
            f"The model of job {job_id} was deleted at {when.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            code="model_deleted",
            param=param,
        )
    return model
