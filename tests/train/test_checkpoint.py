"""Runs that are stopped, or crash, and go on as if nothing had happened."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM

from ist_core import JobSpec, Message, StepRecord, processor, train
from ist_core.errors import CheckpointError
from ist_core.records import Emitted
from tests.tiny_model import make_tiny_model
from tests.train.runs import (
    DRAWN,
    Outcome,
    checkpointed,
    in_one,
    in_pieces,
    make_spec,
    outcome_of,
    run,
    steps_of,
    stop_at,
    weights_of,
)

DROPOUT = {"rank": 4, "dropout": 0.2}
VARIANTS: dict[str, dict[str, object]] = {
    "reset, gate": {"ist": {"optimizer_state": "reset", "scorer": "gate"}},
    "offload, combined": {"ist": {"optimizer_state": "offload", "scorer": "combined"}},
    "contiguous, hold": {"ist": {"policy": "contiguous", "hold": 4, "update_fraction": 0.5}},
    "depth": {"ist": {"policy": "depth", "optimizer_state": "reset"}},
    "lisa, hold": {"ist": {"policy": "lisa", "hold": 3, "optimizer_state": "reset"}},
    "random, bfloat16": {"ist": {"policy": "random", "update_fraction": 0.5}, "precision": "bfloat16"},
    "settling, offload": {
        "ist": {"policy": "settling", "scorer": "gradient", "optimizer_state": "offload", "warmup_steps": 6}
    },
    "settling, probed": {"ist": {"policy": "settling", "warmup_steps": 6}, "adapter": {"rank": 4}},
    "importance, gradient": {"ist": {"scorer": "gradient"}},
    "static": {"ist": {"policy": "static"}, "weight_decay": 0.1, "schedule": "cosine"},
    "paper": {"ist": {"mode": "paper", "reading": "uniform"}, "warmup_ratio": 0.5},
    "dora, gate": {"adapter": {**DROPOUT, "dora": True}, "ist": {"scorer": "gate"}},
    "bottleneck": {"adapter": {"type": "bottleneck", "size": 4, "dropout": 0.2}, "micro_batch_size": 2},
    "series, combined": {
        "adapter": {"type": "bottleneck", "variant": "series", "size": 4},
        "ist": {"scorer": "combined"},
    },
    "no IST": {"ist": None, "adapter": {**DROPOUT, "rslora": True}},
}


@pytest.fixture(scope="session")
def spec(tiny_folder: Path, chat_file: Path) -> JobSpec:
    """Thirteen steps in two epochs of ten, with dropout and accumulation."""
    ist = DRAWN | {"probe_interval": 3, "warmup_steps": 2, "optimizer_state": "reset"}
    return make_spec(tiny_folder, chat_file, adapter=DROPOUT, ist=ist, micro_batch_size=2, max_steps=13)


@pytest.fixture(scope="module")
def whole(spec: JobSpec, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The run that was never stopped."""
    return in_one(spec, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(
    "stops",
    [
        pytest.param([1], id="in warm-up"),
        pytest.param([2], id="at the end of warm-up"),
        pytest.param([3], id="before a probe"),
        pytest.param([4], id="after a probe"),
        pytest.param([8], id="inside an epoch"),
        pytest.param([10], id="between epochs"),
        pytest.param([5, 6, 12], id="three times"),
    ],
)
def test_a_resumed_run_ends_where_an_undisturbed_one_does(
    spec: JobSpec, whole: Outcome, tmp_path: Path, stops: list[int]
) -> None:
    assert in_pieces(spec, tmp_path, stops) == whole


@pytest.mark.parametrize("asked", range(6))
def test_a_step_that_is_broken_off_is_made_again(
    spec: JobSpec, whole: Outcome, tmp_path: Path, asked: int
) -> None:
    """The fourth step has a probe (three candidates of one micro-batch each) and then two micro-batches."""
    emitted: list[Emitted] = []
    asks = 0

    def should_stop() -> bool:
        nonlocal asks
        asks += len(steps_of(emitted)) == 3
        return asks > asked

    result = train(spec, output_dir=tmp_path, emit=emitted.append, should_stop=should_stop)
    assert (result.stopped, result.steps, result.checkpoint) == (True, 3, "checkpoints/step-000003")
    _, rest = run(spec, tmp_path, resume_from=tmp_path / "checkpoints" / "step-000003")
    assert outcome_of(tmp_path, emitted + rest) == whole


@pytest.mark.parametrize("name", VARIANTS)
def test_every_kind_of_run_is_resumed_exactly(
    tiny_folder: Path, chat_file: Path, tmp_path: Path, name: str
) -> None:
    changes = dict(VARIANTS[name])
    if isinstance(ist := changes.get("ist", {}), dict):
        mode = {} if ist.get("mode") == "paper" else {"warmup_steps": 2}
        changes["ist"] = {**DRAWN, "probe_interval": 3, **mode, **ist}
    spec = make_spec(tiny_folder, chat_file, **({"adapter": DROPOUT, "max_steps": 12} | changes))
    assert in_pieces(spec, tmp_path / "pieces", [5, 9]) == in_one(spec, tmp_path / "whole")


def test_a_crashed_run_goes_on_from_its_last_checkpoint(
    spec: JobSpec, whole: Outcome, tmp_path: Path
) -> None:
    spec = spec.model_copy(update={"checkpoint_interval": 4})
    emitted: list[Emitted] = []

    def crash_at(step: int) -> None:
        def emit(item: Emitted) -> None:
            emitted.append(item)
            if isinstance(item, StepRecord) and item.step == step:
                raise ConnectionError("nobody listens")

        resume = tmp_path / "checkpoints" / f"step-{kept[-1]:06d}" if kept else None
        with pytest.raises(ConnectionError):
            train(spec, output_dir=tmp_path, emit=emit, resume_from=resume)
        assert not (tmp_path / "steps.csv").exists()

    kept: list[int] = []
    for step in (6, 11):  # twice in the same folder
        crash_at(step)
        kept = checkpointed(emitted)
        emitted = [item for item in emitted if not (isinstance(item, StepRecord) and item.step > kept[-1])]
    assert kept == [4, 8]
    _, rest = run(spec, tmp_path, resume_from=tmp_path / "checkpoints" / "step-000008")
    assert outcome_of(tmp_path, emitted + rest) == whole


def test_data_may_lie_elsewhere_and_an_older_torch_is_told(
    spec: JobSpec, whole: Outcome, tmp_path: Path
) -> None:
    emitted = stop_at(spec, tmp_path / "a", 7)
    checkpoint = tmp_path / "a" / "checkpoints" / "step-000007"
    manifest = json.loads((checkpoint / "checkpoint.json").read_text())
    manifest["environment"]["torch"] = "1.13"
    (checkpoint / "checkpoint.json").write_text(json.dumps(manifest))
    copied = shutil.copyfile(spec.training_file, tmp_path / "copied.jsonl")
    moved = spec.model_copy(update={"training_file": str(copied), "checkpoint_interval": 5})
    result, rest = run(moved, tmp_path / "b", resume_from=checkpoint)
    assert result.checkpoint == "checkpoints/step-000010"
    warning = next(item for item in rest if isinstance(item, Message) and item.level == "warn")
    assert "torch was '1.13' and is '" in warning.text
    rest.remove(warning)
    assert outcome_of(tmp_path / "b", emitted + rest) == whole


def test_a_checkpoint_is_an_adapter_that_peft_loads(spec: JobSpec, tmp_path: Path) -> None:
    stop_at(spec, tmp_path, 3)
    folder = tmp_path / "checkpoints" / "step-000003"
    # peft 0.21 asks for an attribute that transformers 5.23 has renamed.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(spec.model), folder / "adapter")
    loaded = {name.replace(".default", ""): value for name, value in model.named_parameters()}
    saved = weights_of(folder)
    assert saved
    assert all((loaded[name] == value).all() for name, value in saved.items())
    assert any(value.any() for name, value in saved.items() if "lora_B" in name)


def test_a_run_goes_on_in_another_number_format_with_a_warning(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = spec.model_copy(update={"precision": "auto"})
    monkeypatch.setattr(processor, "has_bfloat16", lambda: False)
    stop_at(auto, tmp_path / "a", 7)
    monkeypatch.setattr(processor, "has_bfloat16", lambda: True)
    result, rest = run(auto, tmp_path / "b", resume_from=tmp_path / "a" / "checkpoints" / "step-000007")
    assert result.steps == 13
    (warning,) = (item for item in rest if isinstance(item, Message) and item.level == "warn")
    assert "another number format" in warning.text
    assert "precision was 'float32' and is 'bfloat16'" in warning.text
    assert "last digits" not in warning.text


def test_a_resumed_run_that_is_stopped_at_once_has_nothing_new_to_keep(spec: JobSpec, tmp_path: Path) -> None:
    stop_at(spec, tmp_path, 3)
    checkpoint = tmp_path / "checkpoints" / "step-000003"
    for asks in (1, 4):  # while it loads, and before its first step
        answers = iter([False] * asks + [True])
        result, emitted = run(spec, tmp_path / "b", should_stop=answers.__next__, resume_from=checkpoint)
        assert (result.stopped, result.steps, result.checkpoint) == (True, 3, None)
        assert steps_of(emitted) == []
        assert list((tmp_path / "b").iterdir()) == []


def test_another_run_is_refused_by_what_differs(spec: JobSpec, tmp_path: Path) -> None:
    stop_at(spec, tmp_path, 3)
    checkpoint = tmp_path / "checkpoints" / "step-000003"
    other = tmp_path / "other.jsonl"
    other.write_text(Path(spec.training_file).read_text().replace("number 7", "number 77"))
    assert spec.ist is not None
    for changes, message in (
        ({"seed": 7, "learning_rate": 0.5}, "learning_rate was 0.01 and is 0.5; seed was 42 and is 7;"),
        ({"training_file": str(other)}, "the rows of training_file are not the same"),
        ({"validation_file": str(other)}, "the rows of validation_file are not the same"),
        ({"ist": spec.ist.model_copy(update={"hold": 2})}, "ist.hold was 'auto' and is 2"),
        ({"ist": None}, "ist.candidates was 3 and is None"),
    ):
        with pytest.raises(CheckpointError, match=message) as caught:
            run(spec.model_copy(update=changes), tmp_path / "b", resume_from=checkpoint)
        assert (caught.value.code, caught.value.param) == ("invalid_checkpoint", "resume_from")
        assert list((tmp_path / "b").iterdir()) == []


def test_another_model_under_the_same_name_is_refused(chat_file: Path, tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "model")
    spec = make_spec(folder, chat_file)
    stop_at(spec, tmp_path, 1)
    shutil.rmtree(folder)
    make_tiny_model(folder, layers=3)
    with pytest.raises(CheckpointError, match="does not fit the model"):
        run(spec, tmp_path / "b", resume_from=tmp_path / "checkpoints" / "step-000001")


def test_a_torn_checkpoint_is_refused_by_what_is_wrong(spec: JobSpec, tmp_path: Path) -> None:
    stop_at(spec, tmp_path, 3)
    sound = tmp_path / "checkpoints" / "step-000003"
    for name, content, message in (
        ("state.safetensors", (sound / "state.safetensors").read_bytes()[:-1], "is not what was written"),
        ("adapter/adapter_model.safetensors", None, "adapter_model.safetensors is missing"),
        ("steps.csv", b"", "damaged: steps.csv is not what was written; resume from another one"),
        ("checkpoint.json", (sound / "checkpoint.json").read_bytes()[:-9], "checkpoint.json that cannot be"),
        ("checkpoint.json", b'{"version": 2}', "checkpoint.json that cannot be used"),
        ("checkpoint.json", None, "is no checkpoint: it has no checkpoint.json; give a folder such as"),
    ):
        torn = shutil.copytree(sound, tmp_path / "torn")
        if content is None:
            (torn / name).unlink()
        else:
            (torn / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            run(spec, tmp_path / "b", resume_from=torn)
        shutil.rmtree(torn)
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        run(spec, tmp_path / "b", resume_from=tmp_path / "nowhere")
