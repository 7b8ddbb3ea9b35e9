"""What a model's name stands for: the adapter of a tuned model or of a checkpoint, and its base model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import literal_column, select
from sqlalchemy.orm import Session

from store.checkpoints import ADAPTER, adapter_files
from store.tables import Checkpoint, Job, TunedModel
from store.tenant import Tenant
from store.tuned_models import checkpoint_model_id

_CHECKPOINT = re.compile(r"ft:.*:(?P<unique>[a-z0-9]{8}):ckpt-step-(?P<step>[1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True)
class AdapterSource:
    """An adapter in object storage: `files` are `{path, bytes, sha256}` of it, path relative to `prefix`."""

    model: str
    job_id: str
    step: int | None
    """The checkpoint's; None: a tuned model."""
    base_model: str
    prefix: str
    files: tuple[dict[str, Any], ...]


def find_source(tenant: Tenant, model: str, *, take: bool = False) -> AdapterSource | None:
    """What a model of the project is made of. None: no tuned model and no checkpoint has this name.

    Args:
        take: nobody can delete it until the transaction ends.
    """
    query = select(TunedModel).where(
        TunedModel.id == model, TunedModel.project_id == tenant.project_id, TunedModel.deleted_at.is_(None)
    )
    if take:
        query = query.with_for_update(read=True, key_share=True)
    tuned = tenant.session.scalars(query).one_or_none()
    if tuned is not None:
        return _of_model(tuned)
    match = _CHECKPOINT.fullmatch(model)
    if match is None:
        return None
    found = (
        select(Checkpoint, Job)
        .join(Job, Job.id == Checkpoint.job_id)
        .where(Checkpoint.project_id == tenant.project_id, Checkpoint.step == int(match["step"]))
        .where(literal_column("lower(right(jobs.id, 8))") == match["unique"])
    )
    if take:
        found = found.with_for_update(read=True, key_share=True, of=Checkpoint)
    for checkpoint, job in tenant.session.execute(found):
        if checkpoint_model_id(job, checkpoint.step) == model:
            return _of_checkpoint(checkpoint, job)
    return None


def read_source(session: Session, job_id: str, step: int | None) -> AdapterSource | None:
    """The same by what an export's row says, for workers; None: it is deleted."""
    if step is None:
        query = select(TunedModel).where(TunedModel.job_id == job_id, TunedModel.deleted_at.is_(None))
        tuned = session.scalars(query).one_or_none()
        return None if tuned is None else _of_model(tuned)
    found = select(Checkpoint, Job).join(Job, Job.id == Checkpoint.job_id)
    row = session.execute(found.where(Checkpoint.job_id == job_id, Checkpoint.step == step)).one_or_none()
    return None if row is None else _of_checkpoint(*row)


def _of_model(model: TunedModel) -> AdapterSource:
    files = [file for file in model.artifacts if file["path"].startswith(ADAPTER)]
    return _source(model.id, model.job_id, None, model.base_model, model.prefix, files)


def _of_checkpoint(checkpoint: Checkpoint, job: Job) -> AdapterSource:
    name = checkpoint_model_id(job, checkpoint.step)
    return _source(name, job.id, checkpoint.step, job.model, checkpoint.prefix, adapter_files(checkpoint))


def _source(
    model: str, job_id: str, step: int | None, base: str, prefix: str, files: list[dict[str, Any]]
) -> AdapterSource:
    inner = tuple({**file, "path": file["path"].removeprefix(ADAPTER)} for file in files)
    return AdapterSource(model, job_id, step, base, prefix + ADAPTER, inner)
