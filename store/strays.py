"""Stray objects: those that no row names, noted when they are first seen, and due a day later."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from store.tables import Checkpoint, Export, File, StrayObject, TunedModel, UploadPart
from store.tuned_models import artifact_keys

PREFIXES = ("files/", "uploads/", "models/", "checkpoints/", "exports/")
"""Where every object has a row that names it, or will have one within minutes."""
AGE = timedelta(days=1)


def named_keys(session: Session, keys: Collection[str]) -> set[str]:
    """Those of these keys that a row names."""
    of_jobs = {key.split("/")[1] for key in keys if key.startswith(("models/", "checkpoints/"))}
    files = select(File.key).where(File.key.in_(keys), File.purged_at.is_(None))
    parts = select(UploadPart.key).where(UploadPart.key.in_(keys))
    models = select(TunedModel).where(TunedModel.job_id.in_(of_jobs), TunedModel.purged_at.is_(None))
    checkpoints = select(Checkpoint).where(Checkpoint.job_id.in_(of_jobs))
    of_exports = {key.split("/")[1] for key in keys if key.startswith("exports/")}
    exports = select(Export).where(Export.id.in_(of_exports), Export.purged_at.is_(None))
    named = {*session.scalars(files), *session.scalars(parts)}
    for model in session.scalars(models):
        named.update(artifact_keys(model))
    for checkpoint in session.scalars(checkpoints):
        named.update(checkpoint.prefix + file["path"] for file in checkpoint.files)
    for export in session.scalars(exports):
        named.update(f"{export.prefix}{file['path']}" for file in export.files)
    return named & set(keys)


def note_strays(session: Session, keys: Iterable[str]) -> None:
    """Write down objects that no row names; those that are known keep their time."""
    rows = [{"key": key} for key in sorted(keys)]
    if rows:
        session.execute(insert(StrayObject).values(rows).on_conflict_do_nothing())


def due_strays(session: Session, *, limit: int = 1000) -> list[str]:
    """Objects that were seen to be stray a day ago or before."""
    old = StrayObject.seen_at <= func.clock_timestamp() - AGE
    return list(
        session.scalars(select(StrayObject.key).where(old).order_by(StrayObject.seen_at).limit(limit))
    )


def forget_stray(session: Session, key: str) -> None:
    """Note that an object is gone, or has a row by now."""
    session.execute(delete(StrayObject).where(StrayObject.key == key))
