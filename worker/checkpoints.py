"""Checkpoints between a trainer's folder and object storage: there as they are written, back to resume."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ist_core.checkpoint import Checkpoint as CheckpointFolder
from ist_core.errors import CheckpointError
from ist_core.records import Checkpointed, Message
from store.checkpoints import checkpoint_prefix, forsake, resumable_checkpoints
from store.database import Database
from store.objects import CHUNK_BYTES, ObjectInfo, ObjectNotFound, ObjectsAway, ObjectStore
from store.tables import Checkpoint
from worker.retry import until_back

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
        folder, stored = self._output / item.path, []
        prefix = checkpoint_prefix(self._job_id, self._attempt, item.step)
        try:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                with path.open("rb") as source:
                    key = prefix + path.relative_to(folder).as_posix()
                    stored.append(self._objects.put(key, source))
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

    def _remove(self, stored: list[ObjectInfo]) -> None:
        for item in stored:
            with suppress(
                OSError, ObjectsAway
            ):  # what cannot be removed now is removed when the job is trimmed
                self._objects.delete(item.key)


class Resumption:
    """The checkpoints that an attempt may go on from, brought into its folder one after the other."""

    def __init__(
        self, database: Database, objects: ObjectStore, job_id: str, attempt: int, folder: Path
    ) -> None:
        self._database = database
        self._objects = objects
        self._job_id = job_id
        self._attempt = attempt
        self._folder = folder
        self._rows: dict[Path, Checkpoint] = {}

    def folders(self, tell: Callable[[Message], None]) -> Iterator[Path | None]:
        """The newest whole checkpoint's folder, then the one before; at last None: begin anew.

        Each that is damaged is told of and passed over.
        """
        for row in until_back(self._read):
            folder = self._folder / f"step-{row.step:06d}"
            self._rows[folder] = row
            try:
                self._download(row, folder)
            except CheckpointError as error:
                tell(self.refuse(folder, error))
            else:
                yield folder
        yield None

    def refuse(self, folder: Path, error: CheckpointError) -> Message:
        """Pass over a checkpoint, in later attempts too; returns a warning for the job's log."""
        row = self._rows[folder]

        def write() -> None:
            with self._database.session() as session:
                forsake(session, self._job_id, self._attempt, row.id)

        until_back(write)
        reason = error.message.replace(f"the checkpoint {folder} ", "it ")
        text = f"Passed over the checkpoint of step {row.step} for an earlier one, or the start: {reason}"
        return Message(text, "warn", {"step": row.step})

    def _read(self) -> list[Checkpoint]:
        with self._database.session() as session:
            return resumable_checkpoints(session, self._job_id)

    def _download(self, row: Checkpoint, folder: Path) -> None:
        for file in row.files:
            self._fetch(row.prefix + file["path"], folder / file["path"], file)
        CheckpointFolder(folder)  # its manifest names every file that has to be there

    def _fetch(self, key: str, target: Path, file: dict[str, Any]) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        try:
            with self._objects.open(key) as source, target.open("wb") as copy:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    copy.write(chunk)
        except ObjectNotFound as error:
            raise CheckpointError(f"{file['path']} is missing") from error
        if digest.hexdigest() != file["sha256"]:
            raise CheckpointError(f"{file['path']} is not what was stored")
