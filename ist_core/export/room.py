"""Room on a disk, asked for before it is needed."""

from __future__ import annotations

import shutil
from pathlib import Path

from ist_core.errors import StorageError

_MARGIN = 64 * 1024**2
"""Besides the weights: tokenizer, card, pictures, and what other processes write meanwhile."""


_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "q8_0": 34 / 32}
"""Of a parameter; q8_0 has a scale of two bytes for each 32."""


def check_room(folder: Path, parameters: int, weights: str) -> None:
    """Make sure that the disk of `folder`, which need not exist yet, has room for a model.

    Args:
        weights: how they are stored, as the manifest says it.

    Raises:
        StorageError: with what is needed and what there is.
    """
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free, needed = shutil.disk_usage(place).free, int(parameters * _BYTES[weights]) + _MARGIN
    if free < needed:
        raise StorageError(
            f"the export needs {_size(needed)} on the disk of {place}, and {_size(free)} are free; "
            f"make room for {_size(needed - free)} more"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
