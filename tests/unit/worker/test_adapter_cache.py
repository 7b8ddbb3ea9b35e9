"""Adapters of the inference process: downloaded whole and checked, bounded, shared."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from ist_core.errors import StorageError
from store.chat_orders import StoredAdapter, StoredFile
from store.objects import LocalObjects, ObjectsAway
from worker.inference.adapter_cache import ABANDONED_SECONDS, PARTIAL, AdapterCache, name_of
from worker.inference.refused import Refused

SIZE = 100


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path / "objects")


@pytest.fixture
def cache(tmp_path: Path, objects: LocalObjects) -> AdapterCache:
    """Room for two adapters."""
    return AdapterCache(tmp_path / "cache", objects, most_bytes=2 * SIZE + 10)


def stored(objects: LocalObjects, name: str) -> StoredAdapter:
    """An adapter of two files."""
    files = {"adapter_config.json": b"{}", "deep/weights": name.encode().ljust(SIZE - 2, b".")}
    for path, data in files.items():
        objects.put(f"models/{name}/{path}", io.BytesIO(data))
    told = [
        StoredFile(path=path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for path, data in files.items()
    ]
    return StoredAdapter(model=f"ft:{name}", prefix=f"models/{name}/", files=tuple(told))


def held(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "cache").iterdir()}


def test_an_adapter_is_downloaded_once(cache: AdapterCache, objects: LocalObjects, tmp_path: Path) -> None:
    adapter = stored(objects, "a")
    folder = cache.get(adapter)
    assert (folder / "deep" / "weights").read_bytes().startswith(b"a.")
    for file in adapter.files:
        objects.delete(adapter.prefix + file.path)
    assert cache.get(adapter) == folder
    assert held(tmp_path) == {folder.name} == {name_of(adapter)}


def test_the_longest_unused_goes_first_and_one_in_use_stays(
    cache: AdapterCache, objects: LocalObjects, tmp_path: Path
) -> None:
    folders = {}
    for age, name in enumerate("ab"):
        folders[name] = cache.get(stored(objects, name))
        os.utime(folders[name], (age, age))
    third = cache.get(stored(objects, "c"), in_use=[folders["a"].name])
    assert held(tmp_path) == {folders["a"].name, third.name}
    os.utime(folders["a"], (1, 1))
    os.utime(third, (2, 2))
    cache.get(stored(objects, "a"))
    fourth = cache.get(stored(objects, "d"))
    assert held(tmp_path) == {folders["a"].name, fourth.name}


def remove(objects: LocalObjects, adapter: StoredAdapter) -> None:
    objects.delete(adapter.prefix + "deep/weights")


def damage(objects: LocalObjects, adapter: StoredAdapter) -> None:
    objects.put(adapter.prefix + "deep/weights", io.BytesIO(b"other"))


@pytest.mark.parametrize(
    ("spoil", "status", "code"), [(remove, 404, "model_deleted"), (damage, 500, "model_damaged")]
)
def test_one_that_is_not_as_it_was_stored_is_refused(
    cache: AdapterCache,
    objects: LocalObjects,
    tmp_path: Path,
    spoil: Callable[[LocalObjects, StoredAdapter], None],
    status: int,
    code: str,
) -> None:
    adapter = stored(objects, "a")
    spoil(objects, adapter)
    with pytest.raises(Refused) as refused:
        cache.get(adapter)
    assert (refused.value.status, refused.value.code, refused.value.param) == (status, code, "model")
    assert held(tmp_path) == set()


def test_storage_that_is_away_is_no_fault_of_the_model(
    cache: AdapterCache, objects: LocalObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> BinaryIO:
        raise ObjectsAway

    adapter = stored(objects, "a")
    monkeypatch.setattr(objects, "open", fail)
    with pytest.raises(Refused) as refused:
        cache.get(adapter)
    assert (refused.value.status, refused.value.code) == (503, "storage_unavailable")


def test_a_full_disk_leaves_nothing(
    cache: AdapterCache, objects: LocalObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path, target: Path) -> Path:
        del target
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(StorageError, match="the adapter could not be written"):
        cache.get(stored(objects, "a"))
    assert held(tmp_path) == set()


def test_what_a_killed_process_left_is_removed(
    cache: AdapterCache, objects: LocalObjects, tmp_path: Path
) -> None:
    old, young = (tmp_path / "cache" / f"{PARTIAL}{name}" for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir(parents=True)
    past = old.stat().st_mtime - ABANDONED_SECONDS - 1
    os.utime(old, (past, past))
    kept = cache.get(stored(objects, "a"))
    assert held(tmp_path) == {young.name, kept.name}
