"""SHA-256 of files that are large and seldom change: computed once, then known by size and time of change."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from pathlib import Path

logger = logging.getLogger(__name__)


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
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
                written = Path(scratch) / place.name
                written.write_text(json.dumps(known))
                written.replace(place)
        except OSError as error:  # such as a full disk: the hash is known all the same
            logger.warning("a hash could not be remembered: %s", error)
