"""Models that jobs made."""

from __future__ import annotations

import string
from collections.abc import Sequence

from sqlalchemy import Select, select
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
    return select(TunedModel).where(TunedModel.project_id == tenant.project_id)
