"""Whole runs of `train` on a tiny random Llama."""

from __future__ import annotations

import csv
import json
import warnings
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from ist_core import Message, Started, StepRecord, train
from ist_core.catalog import Catalog
from ist_core.errors import (
    AdapterError,
    DatasetError,
    IstError,
    MemoryExhausted,
    ModelError,
    TrainingDiverged,
)
from ist_core.records import Emitted
from tests.tiny_model import make_tiny_model
from tests.train.runs import DRAWN, checkpointed, make_spec, run, steps_of, weights_of


def test_a_run_learns_tells_and_saves(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    result, emitted = run(make_spec(tiny_folder, chat_file, learning_rate=5e-2), tmp_path)
    started, steps = emitted[0], steps_of(emitted)
    assert isinstance(started, Started)
    assert (started.total_steps, started.layers, started.examples) == (20, 4, 38)
    assert [record.step for record in steps] == list(range(1, 21))
    assert steps[-1].metrics["loss"] < steps[0].metrics["loss"] - 0.1
    assert [record.active for record in steps[:2]] == [(0, 1, 2, 3)] * 2
    assert {len(record.active) for record in steps[2:]} == {1}
    assert any(value != 0.0 for value in steps[-1].importance)
    assert [record.step for record in steps if record.metrics["probe_seconds"] > 0] == [4, 7, 10, 13, 16, 19]
    assert [record.step for record in steps if "probe_loss" in record.metrics] == [4, 7, 10, 13, 16, 19]
    for record in steps:
        metrics = record.metrics
        assert sum(record.probabilities) == pytest.approx(1.0)  # one of four layers is selected
        assert 0.0 < metrics["entropy"] <= 1.0
        assert metrics["backward_depth"] == 4 - record.active[0]
        assert metrics["ist_seconds"] > metrics["probe_seconds"] >= 0.0
        assert 5_000 < metrics["ist_bytes"] < 10_000  # a generator's state and four scores
    assert min(steps[-1].probabilities) < max(steps[-1].probabilities)
    assert steps[-1].metrics["entropy"] < steps[0].metrics["entropy"] == pytest.approx(1.0)
    assert checkpointed(emitted) == list(range(2, 20, 2))
    texts = [item.text for item in emitted if isinstance(item, Message)]
    assert any("2 rows of the training file are held out" in text for text in texts)
    assert any("Warm-up ends" in text for text in texts)

    assert not result.stopped
    assert (result.steps, result.final_loss) == (20, steps[-1].metrics["loss"])
    assert result.peak_memory_bytes > 0
    assert result.checkpoint == "checkpoints/step-000018"
    report = json.loads((tmp_path / result.report).read_text())
    assert report["importance"] == list(steps[-1].importance)
    assert sum(report["layer_updates"]) == sum(len(record.active) for record in steps)
    assert report["spec"]["adapter"]["rank"] == 4
    with (tmp_path / result.steps_csv).open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [int(row["step"]) for row in table] == list(range(1, 21))
    assert float(table[4]["train_loss"]) == steps[4].metrics["loss"]


def test_same_spec_data_and_seed_give_the_same_weights(
    tiny_folder: Path, chat_file: Path, tmp_path: Path
) -> None:
    spec = make_spec(tiny_folder, chat_file, adapter={"rank": 4, "dropout": 0.1}, n_epochs=1)
    run(spec, tmp_path / "a")
    torch.rand(7)  # the caller's random state must not matter, nor be changed
    before = torch.random.get_rng_state()
    run(spec, tmp_path / "b")
    assert torch.equal(before, torch.random.get_rng_state())
    run(spec.model_copy(update={"seed": 1}), tmp_path / "c")
    a, b, c = (weights_of(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_a_step_changes_the_selected_layers_only(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    """Runs of n and n + 1 steps at a constant rate differ by one step: compare their weights."""
    changes: dict[str, object] = {
        "schedule": "constant",
        "warmup_ratio": 0.0,
        "weight_decay": 0.1,
        "ist": DRAWN | {"warmup_steps": 1, "probe_interval": 2, "update_fraction": 0.5},
    }
    before: dict[str, torch.Tensor] | None = None
    for count in (3, 4, 5):
        folder = tmp_path / str(count)
        _, emitted = run(make_spec(tiny_folder, chat_file, max_steps=count, **changes), folder)
        after = weights_of(folder)
        if before is not None:
            changed = {
                int(name.split(".layers.")[1].split(".")[0])
                for name in after
                if not torch.equal(before[name], after[name])
            }
            assert changed == set(steps_of(emitted)[-1].active)
            assert len(changed) == 2
        before = after


@pytest.mark.parametrize("state", ["keep", "reset", "offload"])
def test_accumulation_equals_one_batch(
    tiny_folder: Path, chat_file: Path, tmp_path: Path, state: str
) -> None:
    ist = DRAWN | {"probe_interval": 2, "warmup_steps": 1, "optimizer_state": state}
    spec = make_spec(tiny_folder, chat_file, max_steps=4, ist=ist)
    _, whole = run(spec, tmp_path / "whole")
    _, parts = run(spec.model_copy(update={"micro_batch_size": 1}), tmp_path / "parts")
    for one, many in zip(steps_of(whole), steps_of(parts), strict=True):
        assert many.metrics["loss"] == pytest.approx(one.metrics["loss"], rel=1e-4)
        assert many.metrics["grad_norm"] == pytest.approx(one.metrics["grad_norm"], rel=1e-3)
        assert many.active == one.active


def test_plain_lora_updates_every_layer(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    result, emitted = run(make_spec(tiny_folder, chat_file, ist=None, max_steps=3), tmp_path)
    assert result.steps == 3
    assert {record.active for record in steps_of(emitted)} == {(0, 1, 2, 3)}
    for record in steps_of(emitted):
        assert record.probabilities == (1.0,) * 4
        told = {
            name: record.metrics[name] for name in ("entropy", "backward_depth", "ist_bytes", "ist_seconds")
        }
        assert told == {"entropy": 1.0, "backward_depth": 4.0, "ist_bytes": 0.0, "ist_seconds": 0.0}
        assert "probe_loss" not in record.metrics
    started = emitted[0]
    assert isinstance(started, Started)
    assert started.examples == 40  # nothing is held out


def test_the_adapter_loads_with_plain_peft(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    result, _ = run(make_spec(tiny_folder, chat_file, max_steps=5), tmp_path)
    adapter = tmp_path / result.adapter_dir
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        tiny_folder
    )
    base = AutoModelForCausalLM.from_pretrained(tiny_folder)
    # peft 0.21 asks for an attribute that transformers 5.23 has renamed.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    tokens = AutoTokenizer.from_pretrained(adapter)("Say hello.", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        plain = base(tokens).logits
        tuned = PeftModel.from_pretrained(base, adapter)(tokens).logits
        merged = (
            PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_folder), adapter)
            .merge_and_unload()(tokens)
            .logits
        )
    assert not torch.allclose(plain, tuned)
    torch.testing.assert_close(tuned, merged, atol=1e-5, rtol=1e-4)


def test_should_stop_ends_the_run_with_a_checkpoint_saved_alone(
    tiny_folder: Path, chat_file: Path, tmp_path: Path
) -> None:
    records: list[Emitted] = []
    result = train(
        make_spec(tiny_folder, chat_file),
        output_dir=tmp_path / "out",
        emit=records.append,
        should_stop=lambda: len(steps_of(records)) == 3,
    )
    assert result.stopped
    assert result.steps == 3
    assert result.checkpoint == "checkpoints/step-000003"
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "checkpoints"]
    early = train(make_spec(tiny_folder, chat_file), output_dir=tmp_path / "early", should_stop=lambda: True)
    assert (early.stopped, early.steps, early.checkpoint) == (True, 0, None)
    assert list((tmp_path / "early").iterdir()) == []


def test_a_validation_file_is_what_is_probed(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    spec = make_spec(tiny_folder, chat_file, validation_file=str(chat_file), max_steps=1)
    _, emitted = run(spec, tmp_path)
    started = emitted[0]
    assert isinstance(started, Started)
    assert started.examples == 40
    assert any(isinstance(item, Message) and "validation file" in item.text for item in emitted)


def test_truncation_is_told(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.jsonl"
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "word " * 100}]
    long.write_text(chat_file.read_text() + json.dumps({"messages": turns}) + "\n")
    _, emitted = run(make_spec(tiny_folder, long, max_length=100, max_steps=1), tmp_path / "out")
    warned = [item for item in emitted if isinstance(item, Message) and item.level == "warn"]
    assert warned[0].data == {"truncated_rows": 1, "max_length": 100}


def test_mistakes_are_named(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text(chat_file.read_text() + "{}\n")
    with pytest.raises(DatasetError, match="line 41, messages"):
        run(make_spec(tiny_folder, broken), tmp_path)
    with pytest.raises(AdapterError, match="they have down_proj"):
        run(make_spec(tiny_folder, chat_file, adapter={"target_modules": ["attn"]}), tmp_path)
    with pytest.raises(ModelError, match="no model is called"):
        train(
            make_spec(tiny_folder, chat_file), output_dir=tmp_path, catalog=Catalog(hub=False)
        )  # paths are no names
    single = make_tiny_model(tmp_path / "single", layers=1)
    with pytest.raises(IstError, match="set ist to null"):
        run(make_spec(single, chat_file), tmp_path)
    result, _ = run(make_spec(single, chat_file, ist=None, max_steps=1), tmp_path / "whole")
    assert result.steps == 1


def test_an_unreadable_model_is_named(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text('{"model_type": "nonesuch"}')
    with pytest.raises(ModelError, match="'odd' cannot be loaded"):
        run(make_spec(tmp_path / "odd", chat_file), tmp_path)


def test_a_loss_that_is_no_number_ends_the_run(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.fill_(float("nan"))
    model.save_pretrained(tmp_path / "nan")
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(tmp_path / "nan")
    with pytest.raises(TrainingDiverged, match="the loss is nan in step 1; lower learning_rate"):
        run(make_spec(tmp_path / "nan", chat_file), tmp_path / "out")
    assert not (tmp_path / "out" / "steps.csv").exists()


def test_running_out_of_memory_comes_with_advice(tiny_folder: Path, chat_file: Path, tmp_path: Path) -> None:
    def emit(item: Emitted) -> None:
        if isinstance(item, StepRecord):
            torch.empty(2**60)  # more than any machine has: torch's own error

    with pytest.raises(MemoryExhausted, match="set micro_batch_size to 2") as caught:
        train(make_spec(tiny_folder, chat_file), output_dir=tmp_path, emit=emit)
    assert caught.value.code == "out_of_memory"
