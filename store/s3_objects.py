"""Object storage in a bucket of S3 or of what speaks like it (MinIO, R2, Ceph, ...)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from store.objects import CHUNK_BYTES, ObjectInfo, ObjectNotFound, ObjectsAway, key_parts

PART_BYTES = 8 * 1024 * 1024
"""What is smaller goes up in one request; each part of the rest is so long, and is held in memory."""
PARTS_AT_ONCE = 4
READ_BYTES = 4 * 1024 * 1024


class S3Objects:
    """Objects under a prefix of a bucket. Keys and region come from `AWS_*` variables if they are not given.

    Args:
        endpoint: the address of a server that is not Amazon's; `http://` is taken, too.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        region: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
    ) -> None:
        config = {
            "endpoint": endpoint,
            "region": region,
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
        }
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            client_options={"allow_http": endpoint is not None and endpoint.startswith("http://")},
            **{name: value for name, value in config.items() if value is not None},  # type: ignore[arg-type]  # all are texts
        )

    def put(self, key: str, source: BinaryIO) -> ObjectInfo:
        """Send `source` in parts; an upload that breaks off is aborted, and its parts are dropped."""
        key_parts(key)
        reader = _HashingReader(source)
        first = reader.read_up_to(PART_BYTES)
        with _reported(key):
            if len(first) < PART_BYTES:
                obstore.put(self._store, key, first, use_multipart=False)
            else:
                obstore.put(
                    self._store,
                    key,
                    reader.chunks(first),
                    use_multipart=True,
                    chunk_size=PART_BYTES,
                    max_concurrency=PARTS_AT_ONCE,
                )
        return ObjectInfo(key, reader.bytes, reader.digest.hexdigest())

    def adopt(self, key: str, file: Path, sha256: str) -> ObjectInfo:
        """Send the file; its hash is that of what was sent."""
        with file.open("rb") as source:
            return self.put(key, source)

    def open(self, key: str) -> BinaryIO:
        """The object's bytes, fetched by ranges as they are read. Raises ObjectNotFound."""
        key_parts(key)
        with _reported(key):
            return io.BufferedReader(_S3Reader(self._store, key), READ_BYTES)

    def delete(self, key: str) -> None:
        """Remove the object; to remove what is not there is no error."""
        key_parts(key)
        with _reported(key):
            obstore.delete(self._store, key)

    def clear(self, folder: str) -> None:
        """Remove all objects under a folder. Parts of an upload whose process was killed stay, until the
        bucket's own rule for unfinished uploads removes them."""
        for key in self.list(folder):
            self.delete(key)

    def list(self, prefix: str) -> Iterator[str]:
        """The keys that begin with `prefix`, sorted."""
        folder = prefix.rpartition("/")[0]  # S3Store lists whole folders only
        with _reported(prefix):
            keys = [meta["path"] for page in obstore.list(self._store, folder or None) for meta in page]
        yield from sorted(key for key in keys if key.startswith(prefix))


class _HashingReader:
    """Reads a source once, and knows how much it was and its hash."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.digest = hashlib.sha256()
        self.bytes = 0

    def read_up_to(self, size: int) -> bytes:
        """So many bytes, or all that are left."""
        parts, left = [], size
        while left and (chunk := self._read(min(left, CHUNK_BYTES))):
            parts.append(chunk)
            left -= len(chunk)
        return b"".join(parts)

    def chunks(self, first: bytes) -> Iterator[bytes]:
        """What was read already, then the rest.

        obstore asks for them within its event loop, where it cannot read another object: so a thread reads.
        """
        yield first
        with ThreadPoolExecutor(1) as reader:
            while chunk := reader.submit(self._read, CHUNK_BYTES).result():
                yield chunk

    def _read(self, size: int) -> bytes:
        chunk = self._source.read(size)
        self.digest.update(chunk)
        self.bytes += len(chunk)
        return chunk


class _S3Reader(io.RawIOBase):
    """An object as a seekable stream."""

    def __init__(self, store: S3Store, key: str) -> None:
        super().__init__()
        self._key = key
        self._file = obstore.open_reader(store, key, buffer_size=READ_BYTES)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # a memoryview is what comes
        with _reported(self._key):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = memoryview(data)
        return len(data)


@contextmanager
def _reported(key: str) -> Iterator[None]:
    """The client's errors as those of object storage."""
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise ObjectsAway("the bucket of object storage does not exist") from error
        raise ObjectNotFound(key) from None
    except BaseError as error:
        raise ObjectsAway(f"object storage failed on {key!r}: {_first_line(error)}") from error


def _first_line(error: BaseError) -> str:
    return str(error).partition("\n")[0][:300]
