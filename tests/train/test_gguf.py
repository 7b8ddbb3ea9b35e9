"""GGUF files become plain, savable models, once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ist_core.catalog import SMOLLM2, Catalog
from ist_core.errors import ModelError
from ist_core.models import load_base_model
from ist_core.models.gguf import convert_gguf


def test_what_is_no_gguf_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (tmp_path / "fake.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match=r"fake\.gguf"):
        convert_gguf(tmp_path / "fake.gguf", cache)
    assert list(cache.iterdir()) == []
    with pytest.raises(ModelError, match=r"none\.gguf cannot be read"):
        convert_gguf(tmp_path / "none.gguf", cache)


@pytest.mark.smollm2
def test_the_real_file_is_converted_once_and_savable(tmp_path: Path) -> None:
    source = Catalog(hub=False).resolve(SMOLLM2)
    folder = convert_gguf(Path(source.location), tmp_path / "cache")
    written = (folder / "model.safetensors").stat().st_mtime_ns
    base = load_base_model(
        source, cache_dir=tmp_path / "cache", dtype=torch.float32, device=torch.device("cpu")
    )
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]
    assert "quantization_config" not in AutoConfig.from_pretrained(folder).to_dict()
    assert {parameter.dtype for parameter in base.model.parameters()} == {torch.float32}
    base.model.save_pretrained(tmp_path / "again")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "again")
    tokens = base.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = again(tokens).logits
        assert torch.equal(base.model(tokens).logits, logits)
    assert str(base.tokenizer.decode(logits[0, -1].argmax())).strip() == "Paris"
