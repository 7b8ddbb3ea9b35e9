"""Base models by name."""

from pathlib import Path

import huggingface_hub.constants
import pytest

from ist_core.catalog import Catalog, resolve_path_or_name
from ist_core.errors import ModelError


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for name in ("alpha", "both"):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text("{}")
    (folder / "empty").mkdir()
    for name in ("beta.gguf", "both.gguf", "notes.txt"):
        (folder / name).write_bytes(b"")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "config.json").write_text("{}")
    return folder


def test_folders_and_gguf_files_are_named(models: Path) -> None:
    catalog = Catalog(models, hub=False)
    assert set(catalog.names()) - {"SmolLM2-135M-Instruct"} == {"alpha", "beta", "both"}
    assert catalog.resolve("alpha").kind == "folder"
    assert catalog.resolve("beta").location == str(models / "beta.gguf")
    assert catalog.resolve("both").kind == "folder"


@pytest.mark.parametrize("name", ["../secret", "alpha/../../secret", "/etc", ".", "", "alpha/", "empty"])
def test_a_name_is_never_a_path(models: Path, name: str) -> None:
    with pytest.raises(ModelError, match="no model is called"):
        Catalog(models, hub=False).resolve(name)


def test_the_nearest_name_is_suggested(models: Path) -> None:
    with pytest.raises(ModelError, match=r"did you mean 'alpha'\?") as caught:
        Catalog(models, hub=False).resolve("alhpa")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_hub_model_needs_the_hub(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="Hub models are switched off"):
        Catalog(models, hub=False).resolve("someone/model")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"cannot be reached.*download it first"):
        Catalog(models, hub=True).resolve("someone/model")


def test_a_spec_used_alone_may_name_a_path(models: Path) -> None:
    catalog = Catalog(hub=False)
    assert resolve_path_or_name(str(models / "alpha"), catalog).kind == "folder"
    assert resolve_path_or_name(str(models / "beta.gguf"), catalog).kind == "gguf"
    with pytest.raises(ModelError, match="holds no config"):
        resolve_path_or_name(str(models / "empty"), catalog)
    with pytest.raises(ModelError, match="no model is called"):
        resolve_path_or_name(str(models / "nowhere"), catalog)


@pytest.mark.smollm2
def test_the_packaged_model_is_known() -> None:
    assert Catalog(hub=False).resolve("SmolLM2-135M-Instruct").kind == "gguf"
