"""Where a GGUF file's conversion is kept (no torch: the API looks for its tokenizer there)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ist_core.catalog import ModelSource

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


def needs_conversion(source: ModelSource, cache_dir: Path) -> bool:
    """Whether a base model is a GGUF file that no run has converted yet."""
    if source.kind != "gguf":
        return False
    try:
        return not converted_folder(Path(source.location), cache_dir).is_dir()
    except OSError:
        return True
