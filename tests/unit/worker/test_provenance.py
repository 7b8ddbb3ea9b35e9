"""What is noted of a run's base model and code."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from ist_core.catalog import ModelSource
from worker.hashes import HashCache
from worker.provenance import base_model_files, git_revision, provenance


def test_a_hash_is_computed_again_when_the_file_has_changed(tmp_path: Path) -> None:
    path, cache = tmp_path / "model.gguf", HashCache(tmp_path / "cache")
    path.write_bytes(b"one")
    os.utime(path, ns=(1, 1))
    assert cache.sha256(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert cache.sha256(path) == hashlib.sha256(b"one").hexdigest(), "it was not remembered"
    os.utime(path, ns=(2, 2))
    assert cache.sha256(path) == hashlib.sha256(b"two").hexdigest()
    assert HashCache(tmp_path / "cache").sha256(path) == hashlib.sha256(b"two").hexdigest()


def test_a_hash_that_cannot_be_remembered_is_told_all_the_same(tmp_path: Path) -> None:
    path, blocked = tmp_path / "model.gguf", tmp_path / "blocked"
    path.write_bytes(b"one")
    blocked.write_text("a file where the folder should be")
    assert HashCache(blocked).sha256(path) == hashlib.sha256(b"one").hexdigest()


def test_a_folder_is_noted_file_by_file_and_without_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "tiny"
    (folder / "parts").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "parts" / "a.safetensors").write_bytes(b"weights")
    found = base_model_files(ModelSource("folder", "tiny", str(folder)), HashCache(tmp_path / "cache"))
    assert [(file.path, file.bytes) for file in found.files] == [
        ("config.json", 2),
        ("parts/a.safetensors", 7),
    ]
    assert str(tmp_path) not in found.model_dump_json()
    gguf = tmp_path / "base.gguf"
    gguf.write_bytes(b"weights")
    (file,) = base_model_files(ModelSource("gguf", "base", str(gguf)), HashCache(tmp_path / "cache")).files
    assert (file.path, file.sha256) == ("base.gguf", found.files[1].sha256)


def test_the_codes_commit_is_named_and_whether_it_was_changed(tmp_path: Path) -> None:
    assert git_revision(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "a").write_text("1")
    subprocess.run([*git, "add", "a"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    commit = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    assert git_revision(tmp_path) == commit
    (tmp_path / "a").write_text("2")
    assert git_revision(tmp_path) == f"{commit}-dirty"


def test_a_revision_that_is_set_and_the_packages_are_noted(tmp_path: Path) -> None:
    (tmp_path / "base.gguf").write_bytes(b"weights")
    source = ModelSource("gguf", "base", str(tmp_path / "base.gguf"))
    found = provenance(source, HashCache(tmp_path / "cache"), revision="of-the-image")
    assert found.service_revision == "of-the-image"
    assert {"torch", "peft", "transformers", "numpy"} <= set(found.packages)
