"""SHA-256 of files that are large and seldom change: computed once, then known by size and time of change."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path


def file_sha256(path: Path) -> str:
    """The file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class HashCache:
    """Remembers hashes in a folder, one small file each; what cannot be remembered is computed again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sha256(self, path: Path) -> str:
        """The file's SHA-256, computed again when its size or its time of change is another."""
        status = path.stat()
        identity = [str(path.resolve()), status.st_size, status.st_mtime_ns]
        place = self._folder / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()}.json"
        if place.is_file():
            known = json.loads(place.read_text())
            if known["identity"] == identity:
                return str(known["sha256"])
        found = file_sha256(path)
        self._remember(place, {"identity": identity, "sha256": found})
        return found

    def _remember(self, place: Path, known: dict[str, object]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._folder)
        with os.fdopen(descriptor, "w") as file:
            json.dump(known, file)
        Path(name).replace(place)
