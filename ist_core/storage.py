"""Turns what goes wrong with the disk into an error that a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ist_core.errors import StorageError


@contextmanager
def storing(what: str, *, then: str = "start anew") -> Iterator[None]:
    """Inside the block `what` is written; a full disk and its like become a `StorageError`.

    Args:
        then: what to do when there is room on the disk.
    """
    try:
        yield
    except Exception as error:
        # safetensors and tokenizers have types of their own for the system's errors, and one wording.
        if not (isinstance(error, OSError) or "(os error " in str(error)):
            raise
        raise StorageError(
            f"{what} could not be written ({error}); make room on the disk and {then}"
        ) from error
