"""A base model kept in memory between runs, for processes that are forked from this one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache

from ist_core.catalog import ModelSource
from ist_core.gguf_cache import converted_folder, needs_conversion
from ist_core.memory import anonymous_bytes
from ist_core.models.base import BaseModel, load_base_model
from ist_core.planner import read_config, shape_of


@dataclass(frozen=True, slots=True)
class _Held:
    identity: tuple[object, ...]
    base: BaseModel
    before_bytes: int
    """What the process held before the model was loaded, files aside."""


class HeldModel:
    """At most one base model, on the CPU; a forked process takes it and may change its copy.

    Args:
        max_bytes: a model whose weights take more is not held.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: _Held | None = None

    def hold(self, source: ModelSource, *, cache_dir: Path, dtype: torch.dtype) -> bool:
        """Load a model in place of the one held, unless that is it; False: too large, or not on this machine.

        Raises:
            EngineError: if it cannot be read.
        """
        files = () if needs_conversion(source, cache_dir) else _files(source, cache_dir)
        if self._held is not None and self._held.identity == (source, dtype, files):
            return True
        self._held = None
        if not files:
            return False
        weights = shape_of(read_config(source)).parameters * dtype.itemsize
        if weights > self._max_bytes:
            return False
        before = anonymous_bytes()
        base = load_base_model(source, cache_dir=cache_dir, dtype=dtype, device=torch.device("cpu"))
        self._held = _Held((source, dtype, files), base, before)
        return True

    def take(
        self, source: ModelSource, *, cache_dir: Path, dtype: torch.dtype, device: torch.device
    ) -> tuple[BaseModel, int] | None:
        """Return the model on `device`, and what this process held before it was loaded, files aside.

        None: another one is held, or its files have changed since. Taken once.
        """
        held, self._held = self._held, None
        if held is None or held.identity != (source, dtype, _files(source, cache_dir)):
            return None
        torch.nn.Module.to(held.base.model, device)
        return held.base, held.before_bytes


def _files(source: ModelSource, cache_dir: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of change of each of the model's files; empty: it is not on this machine."""
    folder = _folder(source, cache_dir)
    if folder is None or not folder.is_dir():
        return ()
    found = sorted(path for path in folder.iterdir() if path.is_file())
    return tuple((str(path.resolve()), *_size_and_time(path)) for path in found)


def _folder(source: ModelSource, cache_dir: Path) -> Path | None:
    if source.kind == "gguf":
        return converted_folder(Path(source.location), cache_dir)
    if source.kind == "folder":
        return Path(source.location)
    config = try_to_load_from_cache(source.location, "config.json")
    return Path(config).parent if isinstance(config, str) else None


def _size_and_time(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
