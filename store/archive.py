"""Objects as one tar, with their SHA-256 in SHA256SUMS: a seekable stream that is never built as a whole."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from store.joined import open_joined
from store.objects import ObjectStore

SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar of objects: what is between them, as bytes, and the objects by their keys, each with its size."""

    parts: tuple[tuple[str | bytes, int], ...]
    version: str
    """Changes whenever the bytes do."""

    @property
    def bytes(self) -> int:
        """Its length."""
        return sum(size for _, size in self.parts)

    def open(self, objects: ObjectStore) -> BinaryIO:
        """Its bytes, to be closed by the caller; raises ObjectNotFound if one of the objects is gone."""
        for key, _ in self.parts:
            if isinstance(key, str):
                objects.open(key).close()
        return open_joined(objects, self.parts)


def archive_of(folder: str, prefix: str, files: Sequence[dict[str, Any]], *, made_at: datetime) -> Archive:
    """The tar of the objects under `prefix`; the same ones make the same bytes.

    Args:
        folder: what it unpacks to.
        files: `{path, bytes, sha256}` of each, path relative to `prefix`.
        made_at: the time that all its files get.
    """
    sums = "".join(f"{file['sha256']}  {file['path']}\n" for file in files).encode()
    seconds = int(made_at.timestamp())
    parts: list[tuple[str | bytes, int]] = []
    for file in files:
        _add(parts, _header(f"{folder}/{file['path']}", file["bytes"], seconds))
        parts.append((prefix + file["path"], file["bytes"]))
        _add(parts, _padding(file["bytes"]))
    end = _header(f"{folder}/{SUMS}", len(sums), seconds) + sums + _padding(len(sums))
    _add(parts, end + bytes(2 * tarfile.BLOCKSIZE))
    version = hashlib.sha256(sums + b"".join(part for part, _ in parts if isinstance(part, bytes)))
    return Archive(tuple(parts), version.hexdigest())


def _header(name: str, size: int, seconds: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, seconds, 0o644
    return entry.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _add(parts: list[tuple[str | bytes, int]], text: bytes) -> None:
    """Append bytes, if there are any."""
    if text:
        parts.append((text, len(text)))
