"""Adapters from object storage in a local folder: whole and checked, the longest unused out first."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from ist_core.storage import storing
from store.chat_orders import StoredAdapter, StoredFile
from store.objects import CHUNK_BYTES, ObjectNotFound, ObjectsAway, ObjectStore
from worker.inference.refused import Refused

ABANDONED_SECONDS = 3600.0
"""A half-written folder of that age belongs to a process that is gone."""
PARTIAL = ".partial-"

logger = logging.getLogger(__name__)


class AdapterCache:
    """A folder of adapters, each under the hash of what is in it; several processes may share it."""

    def __init__(self, folder: Path, objects: ObjectStore, *, most_bytes: int) -> None:
        self._folder = folder
        self._objects = objects
        self._most_bytes = most_bytes

    def get(self, adapter: StoredAdapter, *, in_use: Collection[str] = ()) -> Path:
        """The adapter's folder, whose name is the same for the same files; downloaded if need be.

        Args:
            in_use: names of folders that must stay.

        Raises:
            Refused: if the adapter is not there any more, or not as it was stored.
            StorageError: if the disk does not take it.
        """
        target = self._folder / name_of(adapter)
        if not target.is_dir():
            with storing("the adapter", then="send the request again"):
                self._make_room(sum(file.bytes for file in adapter.files), keep=in_use)
                self._download(adapter, target)
        os.utime(target)
        return target

    def _download(self, adapter: StoredAdapter, target: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=self._folder))
        try:
            for file in adapter.files:
                self._fetch(adapter, file, partial / PurePosixPath(file.path))
            try:
                partial.rename(target)
            except OSError:
                if not target.is_dir():  # else another process was first
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _fetch(self, adapter: StoredAdapter, file: StoredFile, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        try:
            with self._objects.open(adapter.prefix + file.path) as source, target.open("wb") as copy:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    copy.write(chunk)
        except ObjectNotFound as error:
            raise Refused(
                404, "model_deleted", f"model: {adapter.model} was deleted", param="model"
            ) from error
        except ObjectsAway as error:
            logger.warning("object storage is away: %s", error)
            reason = "Object storage cannot be reached at the moment; try again soon"
            raise Refused(503, "storage_unavailable", reason) from error
        if digest.hexdigest() != file.sha256:
            reason = f"model: {file.path} of {adapter.model} is not what was stored; train it again"
            raise Refused(500, "model_damaged", reason, param="model")

    def _make_room(self, size: int, *, keep: Collection[str]) -> None:
        """Remove what was unused for longest until `size` bytes more are within the limit."""
        if not self._folder.is_dir():
            return
        found = sorted(self._folder.iterdir(), key=lambda folder: folder.stat().st_mtime)
        for folder in [folder for folder in found if folder.name.startswith(PARTIAL)]:
            found.remove(folder)
            if folder.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        sizes = {folder: _size(folder) for folder in found}
        held = sum(sizes.values())
        for folder in found:
            if held + size <= self._most_bytes:
                return
            if folder.name not in keep:
                logger.info("removing the adapter %s from the cache", folder.name)
                shutil.rmtree(folder)
                held -= sizes[folder]


def name_of(adapter: StoredAdapter) -> str:
    """A name for the adapter's very files."""
    parts = sorted(f"{file.path}\0{file.sha256}" for file in adapter.files)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
