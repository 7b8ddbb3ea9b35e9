"""Checkpoints on their way from a trainer's folder to object storage, as they are written.

Without the engine: a supervisor, which never loads torch, reads what its trainer has left of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ist_core.records import CHECKPOINT_MANIFEST, Checkpointed, Message
from store.checkpoints import checkpoint_prefix
from store.objects import ObjectInfo, ObjectsAway, ObjectStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A checkpoint whose objects are stored, and whose row is still to be written."""

    step: int
    metrics: dict[str, float]
    stored: tuple[ObjectInfo, ...]


class Uploads:
    """Stores what one attempt's engine writes into its output folder."""

    def __init__(self, objects: ObjectStore, job_id: str, attempt: int, output: Path) -> None:
        self._objects = objects
        self._job_id = job_id
        self._attempt = attempt
        self._output = output

    def store(self, item: Checkpointed) -> Uploaded | Message | None:
        """Upload a checkpoint; a warning when that fails, for training can go on without it.

        None: its folder is gone, because the engine, which keeps the newest two, is so far ahead.
        """
        folder = self._output / item.path
        stored: list[ObjectInfo] = []
        prefix = checkpoint_prefix(self._job_id, self._attempt, item.step)
        try:
            digests = self._digests(folder)
            for name, digest in digests.items():
                stored.append(self._objects.adopt(prefix + name, folder / name, digest))
            if folder.is_dir():
                return Uploaded(item.step, item.metrics, tuple(stored))
        except (OSError, ObjectsAway) as error:
            self._remove(stored)
            if folder.is_dir():
                logger.warning("the checkpoint of step %d could not be stored: %s", item.step, error)
                text = f"The checkpoint of step {item.step} could not be stored ({error}); training goes on"
                return Message(text, "warn", {"step": item.step})
        else:
            self._remove(stored)
        return None

    def _digests(self, folder: Path) -> dict[str, str]:
        """The SHA-256 of every file, as the engine has noted it; of its note, taken here."""
        manifest = (folder / CHECKPOINT_MANIFEST).read_bytes()
        digests: dict[str, str] = json.loads(manifest)["files"]
        return digests | {CHECKPOINT_MANIFEST: hashlib.sha256(manifest).hexdigest()}

    def _remove(self, stored: list[ObjectInfo]) -> None:
        for item in stored:
            with suppress(
                OSError, ObjectsAway
            ):  # what cannot be removed now is removed when the job is trimmed
                self._objects.delete(item.key)
