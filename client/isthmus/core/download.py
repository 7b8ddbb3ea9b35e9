"""Downloads to disk: resumed where they broke off, checked by hash, put in place whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from isthmus.core.effects import Answer, Next, Operation, Sleep
from isthmus.core.request import Request
from isthmus.core.retries import Retries, open_answer
from isthmus.errors import BadRequest, ConnectionFailed, DownloadCorrupted, UnexpectedAnswer

PARTIAL = 206
UNSATISFIABLE = 416


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to download: how to ask for it, where it goes, and the SHA-256 it must have (None: any)."""

    request: Request
    target: Path
    sha256: str | None

    @property
    def part(self) -> Path:
        """Where its bytes are until they are all there; kept when a download breaks off."""
        return self.target.with_name(f"{self.target.name}.part")


def download_all(wanted: Iterable[Wanted], retries: Retries) -> Operation[None]:
    """Download one file after the other; those that are there with their hash already are left alone."""
    for file in wanted:
        if file.sha256 is None or not file.target.is_file() or sha256_of(file.target) != file.sha256:
            yield from download(file, retries)


def download(file: Wanted, retries: Retries) -> Operation[None]:
    """Download a file; its name appears when it is whole and right.

    Raises APIError, ConnectionFailed (the `.part` file stays, and the next call goes on from it), and
    DownloadCorrupted.
    """
    file.target.parent.mkdir(parents=True, exist_ok=True)
    if file.sha256 is None:
        file.part.unlink(missing_ok=True)  # nothing would tell whether what lies there is of the same file
    resumed = _size(file.part) > 0
    yield from _receive(file, retries)
    if resumed and not _is_right(file):
        # What lay there was of another download: once more, from nothing.
        file.part.unlink()
        yield from _receive(file, retries)
    if not _is_right(file):
        file.part.unlink()
        raise DownloadCorrupted(f"{file.target}: the bytes received have another hash than the service told")
    file.part.replace(file.target)


def save(request: Request, target: Path, retries: Retries) -> Operation[Path]:
    """Download what the service tells no hash of; returns where it is."""
    yield from download(Wanted(request, target, sha256=None), retries)
    return target


def inside(folder: Path, path: str) -> Path:
    """Where an artifact's path lies in a folder. Raises UnexpectedAnswer for one that leads out of it."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in parts[0]:
        raise UnexpectedAnswer(f"the service names a path that leads out of its folder: {path!r}")
    return folder.joinpath(*parts)


def sha256_of(path: Path) -> str:
    """A file's SHA-256 in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _receive(file: Wanted, retries: Retries) -> Operation[None]:
    """Receive the bytes, going on after each break from what is there already."""
    attempt, version = 0, _Version()
    while True:
        before = _size(file.part)
        try:
            yield from _one_connection(file, retries, version)
        except ConnectionFailed as error:
            attempt = 0 if _size(file.part) > before else attempt
            delay = retries.delay_after(attempt, error)
            if delay is None:
                raise
            yield Sleep(delay)
            attempt += 1
        else:
            return


def _one_connection(file: Wanted, retries: Retries, version: _Version) -> Operation[None]:
    there = _size(file.part)
    try:
        answer = yield from open_answer(_from(file.request, there, version), retries)
    except BadRequest as error:
        if error.status != UNSATISFIABLE or there == 0:
            raise
        # It may be whole already, or of another file: the hash tells.
        return
    version.etag = answer.headers.get("etag")
    with file.part.open("ab" if _goes_on(answer, there) else "wb") as stream:
        while (chunk := (yield Next())) is not None:
            stream.write(chunk)


@dataclass(slots=True)
class _Version:
    """What was received so far is of this version; None: the service did not say."""

    etag: str | None = None


def _from(request: Request, offset: int, version: _Version) -> Request:
    # Compressed bytes have other offsets than those on disk.
    plain = request.with_headers(Accept_Encoding="identity")
    if offset == 0:
        return plain
    rest = plain.with_headers(Range=f"bytes={offset}-")
    return rest if version.etag is None else rest.with_headers(If_Range=version.etag)


def _goes_on(answer: Answer, offset: int) -> bool:
    """Whether the answer begins where the file on disk ends; a service without ranges sends all again."""
    told = answer.headers.get("content-range", "")
    return answer.status == PARTIAL and told.startswith(f"bytes {offset}-")


def _is_right(file: Wanted) -> bool:
    return file.sha256 is None or sha256_of(file.part) == file.sha256


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
