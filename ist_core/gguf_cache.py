"""Where a GGUF file's conversion is kept (no torch: the API looks for its tokenizer there)."""

from __future__ import annotations

import hashlib
from pathlib import Path

_FORMAT = 1
"""Part of the cache key: raise it when the conversion's result changes."""


def converted_folder(path: Path, cache_dir: Path) -> Path:
    """The folder under `cache_dir` that holds `path` converted, or will: named by its name, size and time.

    Raises:
        OSError: if the file cannot be looked at.
    """
    status = path.stat()
    identity = f"{_FORMAT}\0{path.name}\0{status.st_size}\0{status.st_mtime_ns}"
    return cache_dir / f"{path.stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
