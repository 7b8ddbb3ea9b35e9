"""Which base model and which adapter a chat request's `model` stands for, in the caller's project."""

from __future__ import annotations

from dataclasses import dataclass

from api.errors import ApiError, bad_request
from api.services import Services
from ist_core.errors import ModelError
from store.chat_orders import StoredAdapter, StoredFile
from store.jobs import find_job
from store.model_sources import AdapterSource, find_source
from store.states import TERMINAL
from store.tables import Job, State
from store.tenant import Tenant
from store.tuned_models import was_deleted

TUNED = "ft:"
JOB = "ftjob-"


@dataclass(frozen=True, slots=True)
class ChatModel:
    """A base model by its name, and what is added to it."""

    base: str
    adapter: StoredAdapter | None


def find_chat_model(services: Services, project_id: str, name: str) -> ChatModel:
    """Look a model up; on the Hub that may take a while. Raises ApiError for what cannot be chatted with."""
    found = (
        _find_tuned(services, project_id, name) if name.startswith((TUNED, JOB)) else ChatModel(name, None)
    )
    try:
        services.catalog.resolve(found.base)
    except ModelError as error:
        reason = f"the base of {name} is not to be had: " if found.adapter else ""
        raise ApiError(
            404, f"model: {reason}{error.message}", code="model_not_found", param="model"
        ) from error
    return found


def _find_tuned(services: Services, project_id: str, name: str) -> ChatModel:
    with services.database.session() as session:
        tenant = Tenant(session, project_id)
        if name.startswith(JOB):
            raise _names_a_job(name, find_job(tenant, name))
        source = find_source(tenant, name)
        if source is not None:
            return ChatModel(source.base_model, _adapter(source))
        if was_deleted(tenant, name):
            raise ApiError(404, f"model: {name} was deleted", code="model_deleted", param="model")
    raise _unknown(name)


def _adapter(source: AdapterSource) -> StoredAdapter:
    files = tuple(StoredFile.model_validate(file) for file in source.files)
    return StoredAdapter(model=source.model, prefix=source.prefix, files=files)


def _names_a_job(name: str, job: Job | None) -> ApiError:
    """A job is no model; but whoever names one can be told which models it has."""
    if job is None:
        return _unknown(name)
    if job.fine_tuned_model is not None:
        reason = f"is a job; its model is {job.fine_tuned_model}"
    elif job.state in TERMINAL:
        reason = f"is a job that {'failed' if job.state is State.FAILED else 'was cancelled'} without a model"
    else:
        reason = "is a job that is still training"
    return bad_request(
        f"model: {name} {reason}; name a model, or one of the job's checkpoints "
        f"(`fine_tuned_model_checkpoint`)",
        param="model",
        code="model_not_ready",
    )


def _unknown(name: str) -> ApiError:
    return ApiError(404, f"No such model: {name}", code="model_not_found", param="model")
