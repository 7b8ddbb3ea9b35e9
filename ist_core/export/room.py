"""Room on a disk, asked for before it is needed."""

from __future__ import annotations

import shutil
from pathlib import Path

from ist_core.errors import StorageError

MARGIN_BYTES = 64 * 1024**2
"""Besides the weights: tokenizer, card, pictures, and what other processes write meanwhile."""


def check_room(folder: Path, weight_bytes: int) -> None:
    """Make sure that the disk of `folder`, which need not exist yet, has room for weights of so many bytes.

    Raises:
        StorageError: with what is needed and what there is.
    """
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free, needed = shutil.disk_usage(place).free, weight_bytes + MARGIN_BYTES
    if free < needed:
        raise StorageError(
            f"the export needs {_size(needed)} on the disk of {place}, and {_size(free)} are free; "
            f"make room for {_size(needed - free)} more, or choose a smaller format"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
