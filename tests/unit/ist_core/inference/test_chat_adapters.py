"""Many adapters on one base model: mixed in a batch, loaded, dropped, refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ist_core.errors import AdapterError
from ist_core.inference import ChatEngine, ChatRequest
from tests.unit.ist_core.inference.talks import (
    CONFIGS,
    ask,
    decode,
    generate,
    new_engine,
    talk,
)

TEXTS = {
    None: "hello",
    "lora": "count one two",
    "rslora": "{}",
    "dora": "you " * 20,
    "series": "Say",
    "parallel": "",
}


@pytest.fixture(scope="module")
def expected(talker: Path, adapters: dict[str, Path]) -> dict[str | None, str]:
    """What PEFT's own adapters say alone; None: the base model."""
    return {
        name: decode(talker, generate(talker, text, adapter=adapters[name] if name else None))
        for name, text in TEXTS.items()
    }


def request(name: str | None, adapters: dict[str, Path], *, max_tokens: int = 24) -> ChatRequest:
    return ask(str(name), TEXTS[name], adapter=adapters[name] if name else None, max_tokens=max_tokens)


def test_every_kind_of_adapter_is_among_those_that_are_compared(expected: dict[str | None, str]) -> None:
    assert set(expected) == {None, *CONFIGS}
    assert len(set(expected.values())) == len(expected)


@pytest.mark.parametrize("name", TEXTS)
def test_an_adapter_answers_as_with_peft(
    talker: Path, adapters: dict[str, Path], expected: dict[str | None, str], name: str | None
) -> None:
    assert talk(new_engine(talker), [request(name, adapters)])[str(name), 0].text == expected[name]


@pytest.mark.parametrize("between", [0, 4])
def test_adapters_of_all_kinds_and_the_base_model_share_a_batch(
    talker: Path, adapters: dict[str, Path], expected: dict[str | None, str], between: int
) -> None:
    answers = talk(new_engine(talker), [request(name, adapters) for name in TEXTS], between=between)
    assert {name: answer.text for (name, _), answer in answers.items()} == {
        str(name): text for name, text in expected.items()
    }


def test_base_and_tuned_run_side_by_side_on_one_prompt(talker: Path, adapters: dict[str, Path]) -> None:
    """A token of each in every forward pass."""
    engine = new_engine(talker)
    for name, adapter in (("base", None), ("tuned", adapters["lora"])):
        engine.submit(ask(name, "hello", adapter=adapter))
    engine.step()
    rows = []
    while not engine.idle:
        rows.append(len(engine._rows))
        engine.step()
    assert rows == [2] * 23


def test_the_least_recently_used_adapter_is_dropped(talker: Path, adapters: dict[str, Path]) -> None:
    engine = new_engine(talker, max_adapters=2)
    for name, loaded in [
        ("lora", ["lora"]),
        ("dora", ["lora", "dora"]),
        ("lora", ["dora", "lora"]),
        ("series", ["lora", "series"]),
    ]:
        talk(engine, [request(name, adapters, max_tokens=2)])
        assert engine.loaded_adapters == loaded


def test_an_adapter_in_use_is_never_dropped(
    talker: Path, adapters: dict[str, Path], expected: dict[str | None, str]
) -> None:
    """Others wait for a place, are validated meanwhile, and are answered."""
    engine = new_engine(talker, max_adapters=1)
    engine.submit(request("lora", adapters))
    engine.step()
    for name in ("dora", "parallel"):
        engine.submit(request(name, adapters))
        engine.step()
        assert engine.loaded_adapters == ["lora"]
    answers = talk(engine)
    assert {name: answer.text for (name, _), answer in answers.items() if name != "lora"} == {
        name: expected[name] for name in ("dora", "parallel")
    }
    assert engine.loaded_adapters == ["parallel"]


def test_an_adapter_that_is_gone_when_its_turn_comes_ends_the_request(
    talker: Path, adapters: dict[str, Path], tmp_path: Path
) -> None:
    engine = new_engine(talker, max_adapters=1)
    engine.submit(request("lora", adapters))
    engine.step()
    gone = shutil.copytree(adapters["dora"], tmp_path / "gone")
    engine.submit(ask("gone", "hello", adapter=gone, n=2))
    engine.submit(ask("next", "hello"))
    shutil.rmtree(gone)
    answers = talk(engine)
    for index in (0, 1):
        (delta,) = answers["gone", index].deltas
        assert (delta.finish_reason, delta.text) == (None, "")
        assert isinstance(delta.error, AdapterError)
    assert answers["next", 0].last.finish_reason == "length"


def _config(folder: Path, **values: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def _first(tensors: dict[str, torch.Tensor]) -> str:
    return min(tensors)


def _cut(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "no adapter_config.json"),
    "no config": (lambda folder: (folder / "adapter_config.json").unlink(), "no adapter_config.json"),
    "config is no JSON": (
        lambda folder: (folder / "adapter_config.json").write_text("{"),
        "adapter_config.json that cannot be read",
    ),
    "config of no method": (lambda folder: _config(folder, peft_type="NONE"), "cannot be read"),
    "no weights": (
        lambda folder: (folder / "adapter_model.safetensors").unlink(),
        "adapter_model.safetensors that cannot be read",
    ),
    "cut weights": (_cut, "adapter_model.safetensors that cannot be read"),
    "a module without weights": (
        lambda folder: _weights(
            folder,
            lambda tensors: [tensors.pop(name) for name in sorted(tensors) if "layers.0.mlp.up" in name],
        ),
        "lacks weights for model.layers.0.mlp.up_proj",
    ),
    "half a module": (
        lambda folder: _weights(folder, lambda tensors: tensors.pop(_first(tensors))),
        "does not fit model.layers.0",
    ),
    "a module too many": (
        lambda folder: _config(folder, layers_to_transform=[0]),
        "has weights for model.layers.1",
    ),
    "another size": (
        lambda folder: _weights(
            folder,
            lambda tensors: tensors.update({_first(tensors): tensors[_first(tensors)][:, :-1].contiguous()}),
        ),
        "has the shape (4, 63), and the model needs (4, 64)",
    ),
    "another rank": (lambda folder: _config(folder, r=5), "and the model needs (5, "),
    "no number": (
        lambda folder: _weights(folder, lambda tensors: tensors[_first(tensors)].fill_(float("nan"))),
        "no finite numbers",
    ),
    "another base": (
        lambda folder: _config(folder, base_model_name_or_path="org/other"),
        "was made for 'other', not for 'talker'",
    ),
    "trained in full": (
        lambda folder: _config(folder, modules_to_save=["norm"]),
        "LoRA's option modules_to_save",
    ),
    "changed base weights": (
        lambda folder: _config(folder, init_lora_weights="pissa"),
        "LoRA's option init_lora_weights",
    ),
    "another method": (lambda folder: _config(folder, peft_type="LOHA"), "PEFT's type"),
}


@pytest.mark.filterwarnings("ignore:Unexpected keyword arguments:UserWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_an_adapter_that_cannot_be_used_is_refused_by_name_and_reason(
    talker: Path, adapters: dict[str, Path], tmp_path: Path, engine: ChatEngine, fault: str
) -> None:
    folder = shutil.copytree(adapters["lora"], tmp_path / "mine")
    spoil, reason = FAULTS[fault]
    spoil(folder)
    with pytest.raises(AdapterError, match="the adapter 'mine'") as caught:
        engine.submit(ask("a", "hello", adapter=folder))
    assert reason in caught.value.message
    assert (caught.value.code, caught.value.param) == ("invalid_adapter", "model")
    assert engine.idle
    assert engine.loaded_adapters == []


@pytest.fixture(scope="module")
def engine(talker: Path) -> ChatEngine:
    return new_engine(talker)


def test_a_base_that_has_moved_is_known_by_its_name(
    talker: Path, adapters: dict[str, Path], tmp_path: Path, engine: ChatEngine
) -> None:
    folder = shutil.copytree(adapters["lora"], tmp_path / "moved")
    for name in ("/elsewhere/talker", "org/Talker", None):
        _config(folder, base_model_name_or_path=name)
        new_engine(talker).submit(ask("a", "hello", adapter=folder))
