"""Exports that fail: a wrong one is never kept, and nothing is left of one that was broken off."""

from __future__ import annotations

import errno
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Never

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig

from ist_core.errors import AdapterError, ExportError, ExportUnsupported, MemoryExhausted, StorageError
from ist_core.export import ExportFormat, __main__, export_model, merged
from ist_core.export import export as exporting
from ist_core.export.gguf_layout import PlacedTensor
from ist_core.spec import BottleneckSpec
from tests.tiny_model import make_tiny_model
from tests.train.exports import export, llama_numbers, make_adapter, make_base, source_of


class Disk(NamedTuple):
    """What `shutil.disk_usage` answers."""

    total: int
    used: int
    free: int


@pytest.fixture(scope="module")
def adapter(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter on the tiny Llama."""
    return make_adapter(tiny_folder, tmp_path_factory.mktemp("trained"))


def damage(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., None]:
    """Return a writer of merged exports that changes one tensor behind the check's back."""
    write = merged.write_merged

    def damaged(model: Any, tokenizer: Any, folder: Path, *, weights: str) -> None:
        write(model, tokenizer, folder, weights=weights)
        tensors = load_file(folder / "model.safetensors")
        tensors[name] = change(tensors[name]).contiguous()
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return damaged


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("model.layers.0.self_attn.q_proj.weight", lambda weight: weight.flip(0)),
        ("model.layers.3.mlp.down_proj.weight", lambda weight: weight * 1.01),
        ("model.norm.weight", lambda weight: weight * torch.nan),
    ],
    ids=["rows swapped", "one percent", "nan"],
)
def test_a_damaged_export_is_an_error_and_leaves_nothing(
    tiny_folder: Path,
    adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    change: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    monkeypatch.setattr(exporting, "write_merged", damage(name, change))
    with pytest.raises(
        ExportError, match="the merged export is wrong: its logits (differ by up to|are not finite)"
    ) as caught:
        export(tiny_folder, adapter, "merged", tmp_path / "out")
    assert caught.value.code == "export_check_failed"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["gguf_f16", "gguf_q8_0"])
def test_queries_and_keys_in_transformers_order_are_found(
    form: ExportFormat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make_base(LlamaConfig(**llama_numbers()), tmp_path / "base")
    trained = make_adapter(base, tmp_path / "trained")
    place = PlacedTensor.array

    def unturned(self: PlacedTensor) -> Any:
        return place(PlacedTensor(self.name, self.kind, self.tensor))

    monkeypatch.setattr(PlacedTensor, "array", unturned)
    with pytest.raises(ExportError, match=f"the {form} export is wrong"):
        export(base, trained, form, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_that_makes_other_tokens_is_found(
    tiny_folder: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = merged.write_merged

    def damaged(model: Any, tokenizer: Any, folder: Path, *, weights: str) -> None:
        write(model, tokenizer, folder, weights=weights)
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text())
        content["model"]["merges"] = content["model"]["merges"][:-20]
        path.write_text(json.dumps(content))

    monkeypatch.setattr(exporting, "write_merged", damaged)
    with pytest.raises(ExportError, match="its tokenizer makes other tokens"):
        export(tiny_folder, adapter, "merged", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_keeps_the_one_before(
    tiny_folder: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = export(tiny_folder, adapter, "merged", tmp_path / "out")
    monkeypatch.setattr(exporting, "write_merged", damage("model.norm.weight", torch.zeros_like))
    with pytest.raises(ExportError):
        export(tiny_folder, adapter, "merged", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *(entry.path for entry in before.files),
        "manifest.json",
    }


def test_without_room_nothing_is_begun(
    tiny_folder: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Disk(10**9, 10**9 - 3_000_000, 3_000_000))
    lines: list[str] = []
    with pytest.raises(
        StorageError, match=r"needs 67 MB on the disk of .* and 3 MB are free; make room for 64 MB"
    ):
        export(tiny_folder, adapter, "gguf_f16", tmp_path / "out", progress=lines.append)
    assert lines == ["Loading tiny with its adapter"]
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_an_error_and_leaves_nothing(
    tiny_folder: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, tensor: object) -> Never:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gguf.GGUFWriter.write_tensor_data", full)
    with pytest.raises(StorageError, match=r"the export could not be written \(.*No space left"):
        export(tiny_folder, adapter, "gguf_f16", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["load_trained", "read_merged"])
def test_a_lack_of_memory_is_told_as_one(
    tiny_folder: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def starved(*_: object, **__: object) -> Never:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")

    monkeypatch.setattr(exporting, step, starved)
    with pytest.raises(MemoryExhausted, match="memory ran out; an export needs 4 bytes for each parameter"):
        export(tiny_folder, adapter, "merged", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_adapters_that_cannot_be_merged_say_what_can_be_done(tiny_folder: Path, tmp_path: Path) -> None:
    bottleneck = make_adapter(tiny_folder, tmp_path, BottleneckSpec(type="bottleneck", size=4))
    with pytest.raises(
        ExportUnsupported, match="download the adapter itself .* or train with the adapter type lora"
    ):
        export(tiny_folder, bottleneck, "merged", tmp_path / "out")


def test_adapters_must_be_of_the_model(tiny_folder: Path, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"holds no adapter_config\.json; give the adapter folder"):
        export(tiny_folder, tmp_path, "merged", tmp_path / "out")
    other = make_tiny_model(tmp_path / "other", layers=2)
    with pytest.raises(AdapterError, match="the adapter does not fit 'tiny'"):
        export(other, adapter, "merged", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_what_progress_raises_ends_the_export(tiny_folder: Path, adapter: Path, tmp_path: Path) -> None:
    def stop(line: str) -> None:
        if line == "Loading the export from its files":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(tiny_folder, adapter, "merged", tmp_path / "out", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_sigterm_ends_the_command_line_without_leftovers(
    tiny_folder: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, folder: Path, **__: object) -> None:
        (folder / "half.safetensors").write_bytes(bytes(100))
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(
        exporting, "write_merged", lambda model, tokenizer, folder, **_: interrupted(folder=folder)
    )
    before = signal.getsignal(signal.SIGTERM)
    arguments = ["--model", str(tiny_folder), "--adapter", str(adapter), "--format", "merged"]
    try:
        with pytest.raises(SystemExit) as ended:
            __main__.main([*arguments, "--output", str(tmp_path / "out")])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_exports(
    tiny_folder: Path, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    arguments = ["--model", str(tiny_folder), "--adapter", str(adapter), "--output", str(tmp_path / "out")]
    try:
        assert __main__.main([*arguments, "--format", "merged", "--weights", "bfloat16"]) == 0
        assert "% the same next tokens" in capsys.readouterr().out
        arguments[3] = str(tmp_path)
        assert __main__.main([*arguments, "--format", "merged"]) == 2
        assert "error: the folder" in capsys.readouterr().err
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_source_is_named_as_people_know_it(tiny_folder: Path, adapter: Path, tmp_path: Path) -> None:
    manifest = export_model(source_of(tiny_folder), adapter, "merged", tmp_path / "out", cache_dir=tmp_path)
    assert (manifest.origin.base, manifest.origin.base_kind) == ("tiny", "folder")
