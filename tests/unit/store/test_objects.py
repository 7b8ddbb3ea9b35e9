"""Object storage: the same promises in a folder and in a bucket of an S3 server."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from store import s3_objects
from store.object_storage import open_objects
from store.objects import LocalObjects, ObjectInfo, ObjectNotFound, ObjectsAway, ObjectStore
from store.s3_objects import S3Objects
from store.settings import Settings
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server, s3_server


class BrokenPipe(io.RawIOBase):
    """Gives some bytes, then breaks."""

    def __init__(self, size: int) -> None:
        self._data: list[bytes] = [b"half"] * size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._data:
            raise OSError(errno.EIO, "broken")
        return self._data.pop()


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


def _bucket(server: S3Server, prefix: str, *, bucket: str | None = None) -> S3Objects:
    return S3Objects(
        bucket or server.bucket,
        prefix,
        endpoint=server.endpoint,
        region="us-east-1",
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
    )


@pytest.fixture(params=["folder", "bucket"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    if request.param == "folder":
        return LocalObjects(tmp_path / "objects")
    monkeypatch.setattr(s3_objects, "PART_BYTES", 5 * 1024 * 1024)  # the smallest that S3 takes
    server: S3Server = request.getfixturevalue("server")
    return _bucket(server, f"team/{tmp_path.name}")


@pytest.mark.parametrize("size", [0, 1, 300_000, 5 * 1024 * 1024, 12_345_678])
def test_an_object_comes_back_with_its_size_and_hash(objects: ObjectStore, size: int) -> None:
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    info = objects.put("files/a", io.BytesIO(data))
    assert (info.key, info.bytes, info.sha256) == ("files/a", size, hashlib.sha256(data).hexdigest())
    with objects.open("files/a") as stream:
        assert stream.read() == data


def test_an_object_is_read_from_anywhere(objects: ObjectStore) -> None:
    lines = b"".join(b"%d\n" % number for number in range(1_000_000))
    objects.put("a", io.BytesIO(lines))
    with objects.open("a") as stream:
        assert stream.readline(100) == b"0\n"
        assert stream.seek(-8, io.SEEK_END) == len(lines) - 8
        assert stream.read() == b"\n999999\n"
        assert stream.seek(0) == 0
        assert stream.read(4) == b"0\n1\n"
        assert sum(1 for _ in stream) == 999_998


def test_a_second_put_replaces_and_delete_removes(objects: ObjectStore) -> None:
    objects.put("a", io.BytesIO(b"1"))
    objects.put("a", io.BytesIO(b"2"))
    with objects.open("a") as stream:
        assert stream.read() == b"2"
    objects.delete("a")
    objects.delete("a")
    with pytest.raises(ObjectNotFound, match="a"):
        objects.open("a")


@pytest.mark.parametrize("reads", [1, 2_000_000])
def test_a_broken_source_leaves_the_old_object_and_nothing_else(
    objects: ObjectStore, server: S3Server, reads: int
) -> None:
    objects.put("a/b", io.BytesIO(b"old"))
    with pytest.raises(OSError, match="broken"):
        objects.put("a/b", BrokenPipe(reads))  # type: ignore[arg-type]  # a raw stream reads alike
    with objects.open("a/b") as stream:
        assert stream.read() == b"old"
    if isinstance(objects, LocalObjects):
        assert [path.name for path in objects.folder.rglob("*") if path.is_file()] == ["b"]
    assert list(objects.list("")) == ["a/b"]
    assert "<UploadId>" not in server.uploads()


def test_an_object_is_copied_to_another(objects: ObjectStore) -> None:
    data = b"x" * 12_345_678
    objects.put("a", io.BytesIO(data))
    with objects.open("a") as source:
        assert objects.put("b", source).sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("linked", [True, False])
def test_a_file_that_is_adopted_may_go(
    objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    if not linked:
        monkeypatch.setattr(os, "link", refuse)
    digest = hashlib.sha256(b"weights").hexdigest()
    for number in range(2):  # the second replaces the first
        file = tmp_path / f"weights-{number}"
        file.write_bytes(b"weights")
        assert objects.adopt("a/b", file, digest) == ObjectInfo("a/b", 7, digest)
        file.unlink()
    with objects.open("a/b") as stream:
        assert stream.read() == b"weights"
    assert list(objects.list("")) == ["a/b"]
    with pytest.raises(FileNotFoundError):
        objects.adopt("a/c", tmp_path / "weights-1", digest)
    assert list(objects.list("")) == ["a/b"]


def test_an_adopted_file_is_no_copy_and_no_others_may_read_it(tmp_path: Path) -> None:
    objects, file = LocalObjects(tmp_path / "objects"), tmp_path / "weights"
    file.write_bytes(b"weights")
    file.chmod(0o644)
    objects.adopt("a/b", file, hashlib.sha256(b"weights").hexdigest())
    path = objects.folder / "a" / "b"
    assert path.samefile(file)
    assert path.stat().st_mode & 0o777 == 0o600


def test_keys_are_listed_by_prefix(objects: ObjectStore) -> None:
    for key in ("models/j/1/b", "models/j/1/a", "models/j/2/a", "models/j/10", "files/x"):
        objects.put(key, io.BytesIO(b""))
    assert list(objects.list("models/j/1/")) == ["models/j/1/a", "models/j/1/b"]
    assert list(objects.list("models/j/1/a")) == ["models/j/1/a"]
    assert list(objects.list("models/j/1")) == ["models/j/1/a", "models/j/1/b", "models/j/10"]
    assert list(objects.list("none")) == []
    assert list(objects.list("none/of/them")) == []


def test_a_folder_is_cleared_and_what_lies_beside_it_stays(objects: ObjectStore) -> None:
    for key in ("exports/a/1/x", "exports/a/2/y", "exports/ab/1/x"):
        objects.put(key, io.BytesIO(b"data"))
    objects.clear("exports/a/")
    objects.clear("exports/none/")
    assert list(objects.list("exports/")) == ["exports/ab/1/x"]


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../a", "a/../b", "a//b", "a/", "a/./b", "a\0", "a\\b"])
def test_a_key_that_could_mean_a_place_elsewhere_is_refused(objects: ObjectStore, key: str) -> None:
    for use in (
        lambda: objects.put(key, io.BytesIO(b"")),
        lambda: objects.adopt(key, Path(__file__), ""),
        lambda: objects.open(key),
        lambda: objects.delete(key),
    ):
        with pytest.raises(ValueError, match="not an object key"):
            use()


def test_a_folder_is_no_object(objects: ObjectStore) -> None:
    objects.put("a/b", io.BytesIO(b""))
    with pytest.raises(ObjectNotFound):
        objects.open("a")


def test_a_bucket_that_is_not_there_is_no_missing_object(server: S3Server) -> None:
    with pytest.raises(ObjectsAway, match="bucket"):
        _bucket(server, "", bucket="nowhere").put("a", io.BytesIO(b"1"))


def test_the_settings_choose(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    settings = Settings(database_url="postgresql://x", redis_url="redis://x", data_dir=tmp_path)
    assert isinstance(open_objects(settings), LocalObjects)
    url = f"s3://{server.bucket}/chosen/here/"
    in_bucket = settings.model_copy(update={"objects_url": url, "objects_endpoint": server.endpoint})
    open_objects(in_bucket).put("files/a", io.BytesIO(b"1"))
    assert list(_bucket(server, "chosen").list("")) == ["here/files/a"]


@pytest.mark.parametrize("url", ["bucket/prefix", "s3://", "gs://bucket", "https://bucket"])
def test_another_kind_of_address_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValidationError, match="objects_url"):
        Settings(database_url="postgresql://x", redis_url="redis://x", data_dir=tmp_path, objects_url=url)


def test_a_server_that_is_away_is_told_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    away = S3Objects("bucket", endpoint=f"http://127.0.0.1:{port}", access_key_id="x", secret_access_key="y")
    with pytest.raises(ObjectsAway, match="object storage failed on 'a'"):
        away.put("a", io.BytesIO(b"1"))
