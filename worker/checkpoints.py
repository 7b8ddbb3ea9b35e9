"""Checkpoints from object storage back to a trainer's folder, to go on from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ist_core.checkpoint import Checkpoint as CheckpointFolder
from ist_core.errors import CheckpointError
from ist_core.records import Message
from store.checkpoints import forsake, resumable_checkpoints
from store.database import Database
from store.objects import CHUNK_BYTES, ObjectNotFound, ObjectStore
from store.tables import Checkpoint
from worker.retry import until_back


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
