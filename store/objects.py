"""Object storage: bytes under keys such as `files/file-abc`."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """A stored object."""

    key: str
    bytes: int
    sha256: str


class ObjectNotFound(LookupError):
    """No object has this key."""


class ObjectsAway(RuntimeError):
    """Object storage does not answer, or refuses; trying again may help."""


class ObjectStore(Protocol):
    """Where bytes are kept. A key is a relative path with `/` between its parts.

    Each may raise OSError for what a disk or the source does, and ObjectsAway.
    """

    def put(self, key: str, source: BinaryIO) -> ObjectInfo:
        """Store all of `source`, whole or not at all; an object of the same key is replaced."""
        ...

    def adopt(self, key: str, file: Path, sha256: str) -> ObjectInfo:
        """Store a file that is safe on its disk, that nobody changes from now on, and whose hash is known.

        Its maker may remove it afterwards. An object of the same key is replaced.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """The object's bytes, seekable, to be closed by the caller. Raises ObjectNotFound."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; to remove what is not there is no error."""
        ...

    def clear(self, folder: str) -> None:
        """Remove every object under `folder`, which ends in `/`, and what broken puts left there."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """The keys that begin with `prefix`, sorted."""
        ...


class LocalObjects:
    """Objects as files of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)

    def put(self, key: str, source: BinaryIO) -> ObjectInfo:
        """Write a temporary file beside the target, flush it to the disk and rename it."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".put-")
        try:
            with os.fdopen(descriptor, "wb") as target:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
                    target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
        return ObjectInfo(key, size, digest.hexdigest())

    def adopt(self, key: str, file: Path, sha256: str) -> ObjectInfo:
        """Give the file a second name, which costs no copy; copy it where that cannot be done.

        Only the owner can read it from then on, as any object.
        """
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.hardlink_to(file)
        except OSError:  # another disk, one without hard links, an older object; the rest a copy meets, too
            with file.open("rb") as source:
                return self.put(key, source)
        path.chmod(0o600)
        _sync_folder(path.parent)
        return ObjectInfo(key, path.stat().st_size, sha256)

    def open(self, key: str) -> BinaryIO:
        """The object's bytes, to be closed by the caller. Raises ObjectNotFound."""
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, IsADirectoryError):
            raise ObjectNotFound(key) from None

    def delete(self, key: str) -> None:
        """Remove the object; to remove what is not there is no error."""
        self._path(key).unlink(missing_ok=True)

    def clear(self, folder: str) -> None:
        """Remove a folder with all that is in it, half-written files too."""
        path = self._path(folder.removesuffix("/"))
        if path.is_dir():
            shutil.rmtree(path)

    def list(self, prefix: str) -> Iterator[str]:
        """The keys that begin with `prefix`, sorted; half-written files are not among them."""
        folder = prefix.rpartition("/")[0]
        keys = (
            path.relative_to(self.folder).as_posix()
            for path in (self._path(folder) if folder else self.folder).rglob("*")
            if path.is_file() and not path.name.startswith(".put-")
        )
        yield from sorted(key for key in keys if key.startswith(prefix))

    def _path(self, key: str) -> Path:
        """The file of a key. Raises ValueError for a key that could leave the folder."""
        return self.folder / PurePosixPath(*key_parts(key))


def key_parts(key: str) -> list[str]:
    """The names that a key is made of. Raises ValueError for a key that could mean a place elsewhere."""
    parts = key.split("/")
    if "\0" in key or "\\" in key or any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"not an object key: {key!r}")
    return parts


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
