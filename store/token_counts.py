"""How long a file's rows are for a model's tokenizer, counted once: kept beside the files, by content."""

from __future__ import annotations

import io
import json
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.objects import ObjectNotFound, ObjectStore
from store.tables import File


def load_counts(objects: ObjectStore, file: File, tokenizer: str) -> dict[str, Any] | None:
    """What was counted of a file with a tokenizer, named by its hash; None: nothing yet."""
    try:
        with objects.open(_key(file, tokenizer)) as stream:
            counts: dict[str, Any] = json.load(stream)
            return counts
    except ObjectNotFound:
        return None


def save_counts(objects: ObjectStore, file: File, tokenizer: str, counts: dict[str, Any]) -> None:
    """Keep what was counted."""
    objects.put(_key(file, tokenizer), io.BytesIO(json.dumps(counts).encode()))


def forget(session: Session, objects: ObjectStore, file: File) -> None:
    """Remove what was counted of a deleted file, unless the project has another file of the same bytes."""
    twins = select(func.count()).where(
        File.project_id == file.project_id, File.sha256 == file.sha256, File.deleted_at.is_(None)
    )
    if not session.scalar(twins):
        for key in list(objects.list(_prefix(file))):
            objects.delete(key)


def _prefix(file: File) -> str:
    return f"tokens/{file.project_id}/{file.sha256}."


def _key(file: File, tokenizer: str) -> str:
    return f"{_prefix(file)}{tokenizer}.json"
