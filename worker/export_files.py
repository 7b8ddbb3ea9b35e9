"""The files of an export on their way: out of object storage into a folder, and what such a folder holds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ist_core.export.manifest import MANIFEST
from store.objects import CHUNK_BYTES, ObjectStore


def fetch(objects: ObjectStore, prefix: str, files: Iterable[dict[str, Any]], folder: Path) -> None:
    """Copy objects, by their `path` below `prefix`, into a folder. Raises ObjectNotFound."""
    for file in files:
        target = folder / file["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        with objects.open(prefix + file["path"]) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, CHUNK_BYTES)


def files_of(folder: Path) -> list[Path]:
    """Every file of a folder, and of those in it."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """What an export says of itself; None: it is the adapter as it is."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return manifest
