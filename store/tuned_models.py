"""Models that jobs made."""

from __future__ import annotations

import string
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from store.ids import random_text
from store.objects import ObjectInfo
from store.tables import Job, TunedModel
from store.tenant import Tenant

ORGANIZATION = "isthmus"


def new_model_id(base_model: str, suffix: str | None) -> str:
    """A name in OpenAI's form, `ft:BASE:ORG:SUFFIX:ID`, whose parts tools split at the colons.

    BASE is the last part of the base model's name: a slash would break URLs.
    """
    return _model_id(base_model, suffix, random_text(8, string.ascii_lowercase + string.digits))


def checkpoint_model_id(job: Job, step: int) -> str:
    """The name of a checkpoint's model, in the same form, with `:ckpt-step-STEP` after it."""
    return f"{_model_id(job.model, job.suffix, job.id[-8:].lower())}:ckpt-step-{step}"


def _model_id(base_model: str, suffix: str | None, unique: str) -> str:
    base = base_model.rstrip("/").rsplit("/", 1)[-1].replace(":", "-")
    return f"ft:{base}:{ORGANIZATION}:{(suffix or '').replace(':', '-')}:{unique}"


def artifact_prefix(job_id: str, attempt: int) -> str:
    """Where an attempt's artifacts are in object storage: attempts never write over each other."""
    return f"models/{job_id}/{attempt}/"


def create_tuned_model(
    session: Session, *, model_id: str, job: Job, prefix: str, artifacts: Sequence[ObjectInfo]
) -> TunedModel:
    """Write the row of a model whose artifacts are stored under `prefix`."""
    model = TunedModel(
        id=model_id,
        project_id=job.project_id,
        base_model=job.model,
        job_id=job.id,
        prefix=prefix,
        bytes=sum(item.bytes for item in artifacts),
        artifacts=[
            {"path": item.key.removeprefix(prefix), "bytes": item.bytes, "sha256": item.sha256}
            for item in artifacts
        ],
    )
    session.add(model)
    session.flush()
    session.refresh(model)
    return model


def delete_tuned_model(tenant: Tenant, model_id: str) -> TunedModel | None:
    """Mark a model of the project as deleted; None: there is none.

    Its artifacts can go once this is committed; `unpurged_models` has it until `mark_model_purged`.
    """
    query = _models(tenant).where(TunedModel.id == model_id).with_for_update()
    model = tenant.session.scalars(query).one_or_none()
    if model is not None:
        model.deleted_at = func.clock_timestamp()
        tenant.session.flush()
    return model


def deletion_time(tenant: Tenant, job_id: str) -> datetime | None:
    """When the model that a job of the project made was deleted; None: it was not."""
    query = select(TunedModel.deleted_at).where(
        TunedModel.project_id == tenant.project_id, TunedModel.job_id == job_id
    )
    return tenant.session.scalar(query)


def was_deleted(tenant: Tenant, model_id: str) -> bool:
    """Whether the project had a model of this name."""
    query = select(TunedModel.deleted_at).where(
        TunedModel.project_id == tenant.project_id, TunedModel.id == model_id
    )
    return tenant.session.scalar(query) is not None


def artifact_keys(model: TunedModel) -> list[str]:
    """Where a model's artifacts are in object storage."""
    return [model.prefix + artifact["path"] for artifact in model.artifacts]


def unpurged_models(session: Session, *, limit: int = 100) -> list[TunedModel]:
    """Deleted models whose artifacts may still be there."""
    gone = (TunedModel.deleted_at.is_not(None), TunedModel.purged_at.is_(None))
    return list(session.scalars(select(TunedModel).where(*gone).limit(limit)))


def mark_model_purged(session: Session, model_id: str) -> None:
    """Note that a deleted model's artifacts are gone."""
    session.get_one(TunedModel, model_id).purged_at = func.clock_timestamp()


def get_tuned_model(tenant: Tenant, model_id: str) -> TunedModel | None:
    """A model of the project by its name, or None."""
    return tenant.session.scalars(_models(tenant).where(TunedModel.id == model_id)).one_or_none()


def get_tuned_model_of_job(tenant: Tenant, job_id: str) -> TunedModel | None:
    """The model that a job of the project made, or None."""
    return tenant.session.scalars(_models(tenant).where(TunedModel.job_id == job_id)).one_or_none()


def list_tuned_models(tenant: Tenant) -> list[TunedModel]:
    """All models of the project, newest first."""
    query = _models(tenant).order_by(TunedModel.created_at.desc(), TunedModel.id)
    return list(tenant.session.scalars(query))


def _models(tenant: Tenant) -> Select[TunedModel]:
    return select(TunedModel).where(
        TunedModel.project_id == tenant.project_id, TunedModel.deleted_at.is_(None)
    )
