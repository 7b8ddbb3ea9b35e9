"""Object storage in a folder."""

import hashlib
import io
from pathlib import Path

import pytest

from store.objects import LocalObjects, ObjectNotFound


class BrokenPipe(io.RawIOBase):
    """Gives some bytes, then breaks."""

    def __init__(self) -> None:
        self._reads = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self._reads += 1
        if self._reads > 1:
            raise OSError("broken")
        return b"half"


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path / "objects")


def test_an_object_comes_back_with_its_size_and_hash(objects: LocalObjects) -> None:
    data = bytes(range(256)) * 5000
    info = objects.put("files/a", io.BytesIO(data))
    assert (info.key, info.bytes, info.sha256) == ("files/a", len(data), hashlib.sha256(data).hexdigest())
    with objects.open("files/a") as stream:
        assert stream.read() == data


def test_a_second_put_replaces_and_delete_removes(objects: LocalObjects) -> None:
    objects.put("a", io.BytesIO(b"1"))
    objects.put("a", io.BytesIO(b"2"))
    with objects.open("a") as stream:
        assert stream.read() == b"2"
    objects.delete("a")
    objects.delete("a")
    with pytest.raises(ObjectNotFound, match="a"):
        objects.open("a")


def test_a_broken_source_leaves_the_old_object_and_nothing_else(objects: LocalObjects) -> None:
    objects.put("a/b", io.BytesIO(b"old"))
    with pytest.raises(OSError, match="broken"):
        objects.put("a/b", BrokenPipe())  # type: ignore[arg-type]  # a raw stream reads alike
    with objects.open("a/b") as stream:
        assert stream.read() == b"old"
    assert [path.name for path in objects.folder.rglob("*") if path.is_file()] == ["b"]


def test_keys_are_listed_by_prefix(objects: LocalObjects) -> None:
    for key in ("models/j/1/b", "models/j/1/a", "models/j/2/a", "files/x"):
        objects.put(key, io.BytesIO(b""))
    assert list(objects.list("models/j/1/")) == ["models/j/1/a", "models/j/1/b"]
    assert list(objects.list("none")) == []


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../a", "a/../b", "a//b", "a/", "a/./b", "a\0", "a\\b"])
def test_a_key_that_could_leave_the_folder_is_refused(objects: LocalObjects, key: str) -> None:
    for use in (
        lambda: objects.put(key, io.BytesIO(b"")),
        lambda: objects.open(key),
        lambda: objects.delete(key),
    ):
        with pytest.raises(ValueError, match="not an object key"):
            use()


def test_a_folder_is_no_object(objects: LocalObjects) -> None:
    objects.put("a/b", io.BytesIO(b""))
    with pytest.raises(ObjectNotFound):
        objects.open("a")
