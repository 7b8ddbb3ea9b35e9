"""Merged exports: plain transformers loads them, and they answer as base and adapter do."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from ist_core.export import Manifest
from ist_core.spec import LoraSpec
from tests.train.exports import ask, export, llama_numbers, logits_with_peft, make_adapter, make_base


@pytest.mark.parametrize(
    "spec",
    [
        LoraSpec(rank=4),
        LoraSpec(rank=4, rslora=True, alpha=3.0),
        LoraSpec(rank=4, dora=True, target_modules=("q_proj", "down_proj")),
    ],
    ids=["lora", "rslora", "dora"],
)
def test_a_merged_model_is_base_and_adapter_in_one(tiny_folder: Path, tmp_path: Path, spec: LoraSpec) -> None:
    adapter = make_adapter(tiny_folder, tmp_path, spec)
    manifest = export(tiny_folder, adapter, "merged", tmp_path / "out")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    expected = logits_with_peft(tiny_folder, adapter)
    torch.testing.assert_close(ask(merged), expected, atol=1e-5, rtol=1e-4)
    base = ask(AutoModelForCausalLM.from_pretrained(tiny_folder))
    assert (base - expected).abs().max() > 1000 * manifest.check.largest_difference
    assert manifest.check.verdict == "passed"
    assert manifest.weights == "float32"


def test_the_tokenizer_and_the_configs_come_along(tiny_folder: Path, tmp_path: Path) -> None:
    export(tiny_folder, make_adapter(tiny_folder, tmp_path), "merged", tmp_path / "out")
    was, now = (AutoTokenizer.from_pretrained(folder) for folder in (tiny_folder, tmp_path / "out"))
    assert now.chat_template == was.chat_template
    assert now("One two 34.")["input_ids"] == was("One two 34.")["input_ids"]
    assert (tmp_path / "out" / "generation_config.json").is_file()
    config = (tmp_path / "out" / "config.json").read_text()
    assert str(tmp_path) not in config
    assert str(tiny_folder) not in config


def test_the_manifest_lists_every_file_and_how_it_was_checked(tiny_folder: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tiny_folder, tmp_path)
    lines: list[str] = []
    manifest = export(tiny_folder, adapter, "merged", tmp_path / "out", progress=lines.append)
    stored = Manifest.model_validate_json((tmp_path / "out" / "manifest.json").read_text(), strict=False)
    assert stored == manifest
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {entry.path for entry in manifest.files} == names - {"manifest.json"}
    for entry in manifest.files:
        content = (tmp_path / "out" / entry.path).read_bytes()
        assert (entry.bytes, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    weights = (adapter / "adapter_model.safetensors").read_bytes()
    assert manifest.origin.adapter_sha256 == hashlib.sha256(weights).hexdigest()
    assert (manifest.origin.base, manifest.origin.method) == ("tiny", "LORA")
    assert any("<|im_start|>user" in prompt for prompt in manifest.check.prompts)
    assert lines[0] == "Loading tiny with its adapter"
    assert lines[-1] == "The export answers as the trained model does"


@pytest.mark.parametrize(("choice", "dtype"), [("base", "bfloat16"), ("float16", "float16")])
def test_weights_are_stored_as_the_base_stores_them_or_as_asked(
    tmp_path: Path, choice: str, dtype: str
) -> None:
    base = make_base(LlamaConfig(**llama_numbers()), tmp_path / "base")
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(base)
    manifest = export(base, make_adapter(base, tmp_path), "merged", tmp_path / "out", weights=choice)
    with safe_open(tmp_path / "out" / "model.safetensors", framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {getattr(torch, dtype)}  # noqa: SIM118
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == dtype
    assert manifest.weights == dtype
    assert manifest.check.largest_difference > 0


def test_an_old_export_is_replaced_whole(tiny_folder: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tiny_folder, tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model-00001-of-00009.safetensors").write_bytes(b"of an older one")
    manifest = export(tiny_folder, adapter, "merged", tmp_path / "out")
    assert "model-00001-of-00009.safetensors" not in {entry.path for entry in manifest.files}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "out"]
